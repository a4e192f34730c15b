"""The document of a played scenario (schema ``tailwag.scenario/1``): what broke first, through which link, who lost, what helps and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.experiments.scenario_compare import first_events, links, mean_of, outcome_rows
from tailwag.experiments.scenario_sentences import headline

if TYPE_CHECKING:
    from tailwag.experiments.scenario_arms import Arm
    from tailwag.experiments.scenario_outcomes import Columns
    from tailwag.experiments.scenario_story import Story

SCHEMA = "tailwag.scenario/1"
WORST_SHARE = 0.05
Document = dict[str, Any]


def scenario_document(
    story: Story, run: Document, base: Arm, rows: Sequence[Document], *, refused: Sequence[Document], shown: Sequence[Document]
) -> Document:
    """Plain values of a played scenario; nothing in them depends on threads, folders or the clock.  ``run``: the ``tailwag.run/1`` document of the base.

    ``rows``: one comparison for each switch.  Strict JSON may be written from it as it is.
    """
    document: Document = {
        "schema": SCHEMA,
        "story": story.to_document(),
        "paths": int(base.columns["outcome"].size),
        "seed": run["seed"],
        "outcomes": outcome_rows(base.columns),
        "alone": {
            name.removesuffix("_alone"): mean_of(values).to_document() for name, values in base.columns.items() if name.endswith("_alone")
        },
        "first_events": first_events(base.columns),
        "links": links(base.columns),
        "accounts": accounts(base.columns),
        "comparisons": list(rows),
        "refused": list(refused),
        "shown_paths": list(shown),
        "run": run,
    }
    return {"schema": SCHEMA, "headline": headline(document), **document}


def accounts(columns: Columns) -> list[Document]:
    """Profit of each agent and of liquidity providers: mean, standard error, and the mean of the worst 5 % of paths."""
    return [
        {"agent": name[4:], "pnl_usd": mean_of(values).to_document(), "worst_usd": worst_mean(values)}
        for name, values in columns.items()
        if name.startswith("pnl:")
    ]


def worst_mean(values: Any) -> float | None:
    """Mean of the lowest 5 % of paths (one at least); None of fewer than 20, where it would be one path's."""
    count = math.floor(WORST_SHARE * values.size)
    return None if count < 1 else float(np.sort(values)[:count].mean())
