"""Every example runs as it stands and says what it promises; the live one is only read, and stops politely without a venue."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
LIVE = "live_venue"
SAYS = {
    "measure_a_chain": ["SYNTHETIC", "break-even depth"],
    "compare_rules": ["long-calls-short-puts", "the sign is undetermined"],
    "own_book": ["own book of 2 options and 1 futures", "limits exceeded: 1 before the trade, 0 after"],
    "policy_frontier": ["With hedging moving the market, ", "every-step", "whalley-wilmott:1e-7,6bps"],
    "sweep_gain_latency": ["run away at", "1.25"],
    "gain_over_depths": ["runaway", "amplifying", "nothing finite", "square-root law"],
}


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*SAYS, LIVE}


@pytest.mark.docs
@pytest.mark.parametrize("name", sorted(SAYS))
def test_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py"])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    for words in SAYS[name]:
        assert words in said, f"{name} does not say {words!r}"


@pytest.mark.docs
def test_a_saved_chain_and_a_depth_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tailwag as tw

    tw.save(tw.demo(), tmp_path / "market.parquet")
    runpy.run_path(str(FOLDER / "measure_a_chain.py"))["main"]([str(tmp_path / "market.parquet"), "400e6"])
    assert "$400m of depth per 1 % (given)" in capsys.readouterr().out


@pytest.mark.docs
def test_the_live_example_stops_politely_without_a_venue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tailwag.errors import VenueError

    example = runpy.run_path(str(FOLDER / f"{LIVE}.py"))

    def no_network(*words: object, **options: object) -> None:
        raise VenueError("Deribit: no connection")

    monkeypatch.setitem(example["main"].__globals__, "tw", SimpleNamespace(fetch=no_network))
    assert example["main"](["okx"]) == 1
    assert "no live data: Deribit: no connection" in capsys.readouterr().out
