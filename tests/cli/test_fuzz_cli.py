"""Whole-file fuzz through the command itself: exit 0 with strict JSON, or 2 with one sentence, and neither slowly."""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import strict, tailwag
from tests.cli.test_oracle import close
from tests.sources.deribit_replies import reply, summaries
from tests.sources.mutations import MAKERS, NUMBERS, ODD, TEXTS, mutated_row

LONGEST_SECONDS = 2.0
WORDS: list[tuple[str, ...]] = [
    (),
    ("--dynamics", "sticky-moneyness", "--depth-usd-per-pct", "5e7"),
    ("--vol", "surface", "--rule", "short-all"),
    ("--rule", "mixture:short-all@0.4+customers-sell-otm@0.6", "--draws", "50"),
    ("--gamma", "file", "--rule", "long-all"),
    ("--numeraire", "coin", "--day-count", "busdays-262", "--spot-levels", "9"),
    ("--add", "-500 BTC-26JUN26-70000-C", "--daily-volume-usd", "5e9"),
    ("--at", "2026-03-20T12:00:01Z", "--forward", "index"),
]


def _rows(draw: random.Random) -> bytes:
    """Heavy damage: a third of the rows, or one field of every row."""
    made: list[dict[str, Any]] = summaries()
    if draw.random() < 0.5:
        made = [mutated_row(row, draw) if draw.random() < 0.35 else row for row in made]
    else:
        key, share = draw.choice(list(made[0])), draw.choice((0.5, 1.0))
        value: Any = draw.choice([*NUMBERS, *TEXTS, *ODD])
        made = [{**row, key: value} if draw.random() < share else row for row in made]
    return json.dumps(reply(made)).encode()


KINDS = {"json-damage": _rows, **MAKERS}


def _run(seed: int, count: int, folder: Path) -> Counter[int]:
    draw, codes = random.Random(seed), Counter()
    path = folder / "fuzzed.bin"
    for turn in range(count):
        kind = list(KINDS)[turn % len(KINDS)] if turn % 2 else "json-damage"
        data, words = KINDS[kind](draw), draw.choice(WORDS)
        path.write_bytes(data)
        start = time.process_time()
        outcome = tailwag("measure", path, *words, "--json", "-")
        took = time.process_time() - start
        told = (kind, seed, turn, words, outcome.err[:300])
        if outcome.code not in (0, 2):
            (folder.parent / f"failed-{seed}-{turn}.bin").write_bytes(data)
        assert outcome.code in (0, 2), told
        assert took < LONGEST_SECONDS, (took, *told)
        codes[outcome.code] += 1
        if outcome.code == 0:
            _sound(strict(outcome.out))
        else:
            assert outcome.out == b"", told
            assert 0 < len(outcome.err) < 2_000, told
            assert "Traceback" not in outcome.err, told
            assert outcome.err.count("\n") == 1 or "Usage" in outcome.err, told
    return codes


def _sound(document: dict[str, Any]) -> None:
    """What holds of every measurement, whatever was in the file."""
    exposure, chain = document["exposure"], document["chain"]
    assert 0.0 <= chain["masked_open_interest_share"] <= 1.0
    assert len({len(column) for column in document["book"].values()}) == 1
    assert len(document["book"]["instrument"]) == chain["instruments"]
    gross = exposure["gross_gex_usd_per_pct"]
    assert gross is None or abs(exposure["gex_usd_per_pct"]) <= gross * (1 + 1e-12)
    if gross is None:
        return
    for by in ("by_expiry", "by_right", "by_venue"):
        parts = [part["gex_usd_per_pct"] for part in exposure[by] if part["gex_usd_per_pct"] is not None]
        close(math.fsum(parts), exposure["gex_usd_per_pct"], scale=gross)
    for flow in document["flows"]:
        assert all(value is not None for value in flow.values())


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile before the clock runs."""
    path = tmp_path_factory.mktemp("warm") / "chain.json"
    path.write_bytes(json.dumps(reply(summaries())).encode())
    for words in WORDS:
        tailwag("measure", path, *words, "--json", "-")


def test_sixty_mutated_files(tmp_path):
    codes = _run(0, 60, tmp_path)
    assert codes[0] > 12
    assert codes[2] > 12


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(9))
def test_two_thousand_mutated_files(seed, tmp_path):
    assert sum(_run(seed, 250, tmp_path).values()) == 250
