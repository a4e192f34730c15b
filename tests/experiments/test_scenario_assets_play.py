"""Scenarios over several assets played: outcomes by plain loops, switches on the same shocks, and the commands that list, run and compare them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from tests.experiments.test_scenario_assets import TEXT, read

from tailwag.cli import main
from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_assets_play import SWITCHES, asset_columns, asset_twins, play_assets
from tailwag.sim.assets import run_asset_block
from tailwag.sim.assets_loop import plan_assets

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "scenario-library.md"


def test_outcomes_are_those_of_plain_loops_over_the_paths() -> None:
    scenario = read(TEXT).scenario
    found = asset_columns(scenario, paths=12, seed=9)
    block = run_asset_block(plan_assets(scenario, seed=9), 0, 12)
    for path in range(12):
        for suffix, log_price in (("", block.log_price), ("_alone", block.fundamental_log)):
            squares, product = [0.0, 0.0], 0.0
            for step in range(24):
                moves = [float(log_price[step + 1, asset, path] - log_price[step, asset, path]) for asset in (0, 1)]
                squares = [total + move * move for total, move in zip(squares, moves)]
                product += moves[0] * moves[1]
            for asset, name in enumerate("AB"):
                assert found[f"vol{suffix}:{name}"][path] == pytest.approx(math.sqrt(365.0 * squares[asset]), rel=1e-12)
            assert found[f"correlation{suffix}:A,B"][path] == pytest.approx(product / math.sqrt(squares[0] * squares[1]), rel=1e-12)
        push = max(abs(float(block.log_price[step, 1, path] - block.fundamental_log[step, 1, path])) for step in range(25))
        assert found["push:B"][path] == push
    assert found["pnl:own"].tolist() == block.dealers[0].pnl_usd.sum(axis=0).tolist()


def test_differences_are_paired_and_a_switch_changes_what_it_says() -> None:
    file = read(TEXT)
    twins = asset_twins(file.scenario)
    assert [twin.label for twin in twins] == ["own-hedge", "flip-gamma", "without:agent=own", "without:agent=proxy"]
    assert set(SWITCHES) == {twin.label.partition(":")[0] for twin in twins}
    document = play_assets(file, twins, paths=60, seed=4, threads=2)
    base, crossed = (asset_columns(scenario, paths=60, seed=4) for scenario in (file.scenario, twins[0].scenario))
    rows = {row["outcome"]: row for row in document["comparisons"][0]["outcomes"]}
    change = crossed["vol:A"] - base["vol:A"]
    assert rows["vol:A"]["difference"]["value"] == pytest.approx(change.mean(), rel=1e-12)
    assert rows["vol:A"]["z"] == pytest.approx(change.mean() / (change.std(ddof=1) / math.sqrt(60)), rel=1e-9)
    assert (rows["vol:A"]["verdict"], rows["correlation:A,B"]["verdict"]) == ("lower", "lower"), "B's moves no longer travel into A"
    assert rows["vol:B"]["verdict"] == "higher"
    gain = twins[1].scenario.gain
    assert gain == pytest.approx(-file.scenario.gain)
    assert [one.name for one in twins[3].scenario.dealers] == ["own"]
    missing = {row["outcome"] for row in document["comparisons"][3]["outcomes"]}
    assert "pnl:proxy" not in missing
    assert "vol:B" in missing
    again = play_assets(file, twins, paths=60, seed=4)
    assert strict_json(again) == strict_json(document), "threads change no bit"
    nobody = play_assets(file, asset_twins(file.scenario, ["without:agent=own"]), paths=8, seed=4)["comparisons"]
    assert len(nobody) == 1


@pytest.mark.parametrize("word", ["batch", "own-hedges", "without:agent=desk", "flip-gamma:x=1"])
def test_what_there_is_not_is_refused_in_one_sentence(word: str) -> None:
    with pytest.raises(InputError, match="expected") as refused:
        asset_twins(read(TEXT).scenario, [word])
    assert "\n" not in str(refused.value)


def test_the_commands_list_run_and_compare_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def called(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["scenario", *words])
        said = capsys.readouterr()
        return f"{ended.value.code or 0} {' '.join((said.out + said.err).split())}"

    assert "btc-eth-contagion An ETH desk" in called("list")
    told = called("run", "btc-eth-contagion", "--paths", "16", "--out", str(tmp_path))
    assert told.startswith("0 btc-eth-contagion: realised vol a year without and with hedging: BTC")
    document = json.loads((tmp_path / "scenario.json").read_bytes())
    assert (document["schema"], document["comparisons"]) == ("tailwag.scenario-assets/1", [])
    assert "[assets]" in (tmp_path / "scenario.toml").read_text()
    told = called("compare", "btc-eth-contagion", "--paths", "16", "--with", "own-hedge")
    assert "own-hedge against base, same seeds" in told
    assert "expected a switch for several assets (own-hedge" in called("compare", "btc-eth-contagion", "--with", "batch")
    pictures = ("--png", str(tmp_path / "card.png"), "--html", str(tmp_path / "page.html"))
    assert "page.html" in called("run", "btc-eth-contagion", "--paths", "16", *pictures)
    assert (tmp_path / "card.png").read_bytes()[:4] == b"\x89PNG"
    assert "<h1>Hedging takes realised vol of BTC from" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "folder that exists" in called("run", "btc-eth-contagion", "--png", str(tmp_path / "nowhere" / "card.png"))


def test_the_library_shows_what_the_docs_say() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for word in (*SWITCHES, "btc-eth-contagion", "tailwag.scenario-assets/1"):
        assert f"`{word}`" in text or f"## {word}\n" in text
    assert np.isfinite(asset_columns(read(TEXT).scenario, paths=4, seed=1)["vol:A"]).all()
