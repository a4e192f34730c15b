"""[options] of a scenario file: the market in which agents trade options with each other during the run."""

from __future__ import annotations

from tailwag.experiments.scenario_tables import Table
from tailwag.sim.option_market import OptionTerms

KEYS = ("iv", "skew", "settlement")
SETTLEMENTS = ("average-30min", "spot")


def option_terms(table: Table | None, vol: float) -> tuple[OptionTerms | None, tuple[str, ...]]:
    """The terms that [options] states, and what was assumed; None where the file has no such table: then no options trade during the run.

    ``vol`` stands for an iv that is not stated.

    >>> option_terms(Table("[options]", {"iv": 0.55, "settlement": "spot"}), 0.6)[0]
    OptionTerms(iv=0.55, skew=0.0, averaged=False)
    """
    if table is None:
        return None, ()
    table.only(*KEYS)
    with table.named():
        terms = OptionTerms(
            iv=table.vol("iv", vol),
            skew=table.number(
                "skew", 0.0, hint="change of vol per unit of ln(strike / spot); -0.2: a strike 10 % lower has 2.1 vol points more"
            ),
            averaged=table.text("settlement", SETTLEMENTS[0], choices=SETTLEMENTS) == SETTLEMENTS[0],
        )
    assumed = f"[options]: iv is not stated; options that trade during the run are marked at {vol:g}, the vol of [price]"
    return terms, () if "iv" in table else (assumed,)
