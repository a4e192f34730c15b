"""A scenario file of one's own through ``tailwag scenario run`` and ``compare``: the same one page as a scenario of the library."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.cli.command import tailwag

from tailwag.experiments.scenario_report import _header
from tailwag.experiments.scenario_terminal import print_scenario

VAULT = """
[run]
horizon_days = 0.5
step_minutes = 60
paths = 4
seed = 5
clearing = "implicit"
[price]
model = "gbm"
spot_usd = 2150
vol = 0.7
[impact]
permanent_per_usd = 3e-10
[options]
iv = 0.75
[[agent]]
kind = "vault"
name = "puts of ours"
sells = "cash-secured-puts"
assets_usd = 3e7
strike_delta = 0.2
strike_step_usd = 25
first_epoch_hours = 1
epoch_hours = 8
auction_after_hours = 1
delay_steps = 1
[[agent]]
kind = "quoting-dealer"
name = "buyers"
half_spread_volpt = 2
size_coin = 50000
policy = {kind = "every-step"}
delay_steps = 0
"""


def test_a_vault_of_ones_own_gets_the_page_of_the_library(tmp_path: Path) -> None:
    path, out = tmp_path / "our-vault.toml", tmp_path / "out"
    path.write_text(VAULT)
    done = tailwag("scenario", "compare", str(path), "--with", "epoch-tranches", "--with", "without", "--threads", "1", "--out", str(out))
    assert done.code == 0, done.err
    document = json.loads((out / "scenario.json").read_bytes())
    assert (out / "scenario.toml").read_text() == VAULT
    assert (document["story"]["name"], document["story"]["answer"]) == ("our-vault", "largest_excess")
    assert document["story"]["liquidation_usd"] == pytest.approx(0.001 / 3e-10)  # what moves this market 0.1 %
    assert {row["switch"].partition(":")[0] for row in document["comparisons"]} == {"epoch-tranches", "without"}
    offered = document["story"]["switches"]
    assert {"epoch-randomisation", "epoch-tranches", "strike-limit", "slower-hedging", "without"} <= set(offered)
    assert not {"lower-leverage", "window-ban", "dynamic-fee", "hedge-on", "block-seller"} & set(offered)  # nothing there that they change
    assert "What did each vault make?" in _header(document)
    said = done.out.decode()
    for word in ("Largest push away", "Through:", "puts of ours", "What each link carries", "puts of ours: took $"):
        assert word in said
    document["run"]["assumptions"]["notes"] = ["the first epoch is not stated"]
    printed = io.StringIO()
    print_scenario(document, file=printed)
    assert "the first epoch is not stated" in printed.getvalue()  # assumed by the file, beside the story's own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no-such.toml"),
        (VAULT.replace("strike_delta", "strike_delat"), "did you mean strike_delta"),
        (VAULT.split("[[agent]]")[0], "expected agents whose flow moves the price"),
    ],
)
def test_a_file_that_cannot_be_is_refused_in_one_sentence(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "no-such.toml"
    if text is not None:
        path.write_text(text)
    done = tailwag("scenario", "run", str(path))
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_name_that_is_neither_is_told_how_a_file_is_named() -> None:
    done = tailwag("scenario", "run", "our-vault")
    assert done.code == 2
    assert "a scenario file of your own is named by its path" in done.err
