"""``tailwag scenario``: list, run, compare; what it writes, what it refuses, and with which exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import tailwag


def test_the_list_names_every_scenario_and_switch() -> None:
    done = tailwag("scenario", "list", "--json", "-")
    document = done.document
    assert document["schema"] == "tailwag.scenario-list/1"
    named = {row["name"]: row for row in document["scenarios"]}
    assert named["february-2026"]["needs"] == [
        "deribit-chains/deribit_chain_2026-02.parquet",
        "prices/ocean_BTCUSDT_15m_2025-08_2026-05.csv.gz",
    ]
    assert named["quiet-pin"]["needs"] == []
    printed = tailwag("scenario", "list").out.decode()
    assert all(name in printed for name in (*named, *(row["name"] for row in document["switches"])))


def test_run_writes_what_it_says_and_the_scenario_runs_by_itself(tmp_path: Path) -> None:
    out = tmp_path / "zero"
    done = tailwag(
        "scenario",
        "run",
        "zero-dte",
        "--paths",
        "30",
        "--seed",
        "3",
        "--threads",
        "1",
        "--out",
        str(out),
        "--json",
        str(tmp_path / "a.json"),
    )
    assert done.code == 0, done.err
    assert (out / "scenario.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["outcomes.npz", "scenario.json", "scenario.toml"]
    document = json.loads((out / "scenario.json").read_bytes())
    assert document["schema"] == "tailwag.scenario/1"
    assert (document["paths"], document["seed"], document["comparisons"]) == (30, 3, [])
    again = tailwag(
        "simulate", str(out / "scenario.toml"), "--out", str(tmp_path / "run"), "--paths", "30", "--seed", "3", "--threads", "1"
    )
    assert again.code == 0, again.err
    run = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert run["metrics"] == document["run"]["metrics"]
    with np.load(io.BytesIO((out / "outcomes.npz").read_bytes())) as arrays:
        fall = arrays["base|largest_fall"]
    row = next(row for row in document["outcomes"] if row["outcome"] == "largest_fall")
    assert row["value"] == pytest.approx(fall.mean(), rel=1e-12)
    assert row["standard_error"] == pytest.approx(fall.std(ddof=1) / 30**0.5, rel=1e-12)


def test_compare_gives_paired_differences_and_the_same_bytes_for_any_threads(tmp_path: Path) -> None:
    words = ("scenario", "compare", "zero-dte", "--with", "strike-limit:share=0.1", "--with", "batch", "--paths", "40", "--json", "-")
    one, two = (tailwag(*words, "--threads", count, "--out", str(tmp_path / count)) for count in ("1", "2"))
    assert one.out == two.out
    assert [row["switch"] for row in one.document["comparisons"]] == ["strike-limit:share=0.1", "batch"]
    with np.load(io.BytesIO((tmp_path / "1" / "outcomes.npz").read_bytes())) as arrays:
        change = arrays["batch|stopped"] - arrays["base|stopped"]
    row = next(row for row in one.document["comparisons"][1]["outcomes"] if row["outcome"] == "stopped")
    assert row["difference"]["value"] == pytest.approx(change.mean())
    assert row["difference"]["standard_error"] == pytest.approx(change.std(ddof=1) / 40**0.5)


def test_pages_and_cards_are_written(tmp_path: Path) -> None:
    page, card = tmp_path / "a.html", tmp_path / "a.png"
    done = tailwag("scenario", "run", "zero-dte", "--paths", "12", "--html", str(page), "--png", str(card))
    assert done.code == 0, done.err
    assert page.read_text().startswith("<!doctype html>")
    assert card.read_bytes()[:4] == b"\x89PNG"
    assert f"wrote {page}" in done.out.decode()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "quiet-pinn"), "did you mean quiet-pin"),
        (("run", "quiet-pin", "--paths", "0"), "paths"),
        (("run", "quiet-pin", "--html", "/nowhere/at/all.html"), "--html"),
        (("compare", "quiet-pin", "--with", "circuit-braker"), "did you mean circuit-breaker"),
        (("compare", "quiet-pin", "--with", "batch", "--with", "batch"), "batch twice"),
        (("compare", "quiet-pin", "--with", "without:agent=nobody"), "expected an agent of the scenario"),
        (("compare", "february-2026", "--with", "bath"), "did you mean batch"),
    ],
)
def test_wrong_words_are_refused_in_one_sentence(words: tuple[str, ...], said: str) -> None:
    done = tailwag("scenario", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_missing_real_data_exit_2_and_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAILWAG_DATA", raising=False)
    done = tailwag("scenario", "run", "february-2026")
    assert done.code == 2
    assert "deribit-chains/deribit_chain_2026-02.parquet" in done.err
    assert "TAILWAG_DATA" in done.err
