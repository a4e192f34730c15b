"""``tailwag scenario gain``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tailwag.cli import main
from tailwag.experiments.scenario_library import library_story, story_text


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["scenario", "gain", *words])
    return int(ended.value.code or 0)


def test_the_table_names_every_agent_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cascade-short-gamma", "--paths", "64") == 0
    out = capsys.readouterr().out
    assert "they agree" in " ".join(out.split())
    for word in ("leveraged", "dealers", "-Gamma$", "stated", "predicted", "measured", "all"):
        assert word in out


@pytest.mark.slow
def test_a_card_for_chat(tmp_path: Path) -> None:
    card = tmp_path / "gain.png"
    for name in ("cascade-long-gamma", "btc-eth-contagion"):
        assert run(name, "--paths", "32", "--png", str(card)) == 0
        assert struct.unpack(">II", card.read_bytes()[16:24]) == (1200, 675)


def test_a_file_of_ones_own_as_json_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(story_text(library_story("cascade-long-gamma")))
    assert run(str(path), "--paths", "32", "--seed", "3", "--move", "0.2", "--noise", "0.01", "--json", "-") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["scenario"]["name"] == "mine"
    assert (document["seed"], document["paths"], document["bump"]["size_log"], document["bump"]["noise_log"]) == (3, 32, 0.002, 0.0001)
    assert document["total"]["predicted"] == pytest.approx(-0.074, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cascade",), "expected a scenario of the library"),
        (("nowhere.toml",), "nowhere.toml"),
        (("quiet-pin", "--move", "0"), "bump above 0"),
        (("quiet-pin", "--clock", "late"), "clock"),
        (("quiet-pin", "--paths", "1"), "2 to"),
        (("quiet-pin", "--png", "no/such/folder.png"), "--png expects a file"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
