"""The sweep command as a user types it: killed and resumed to the same bytes, refused in a sentence, drawn anew without running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.command import refused, strict, tailwag
from tests.experiments.sweep_texts import saved_grid

FILES = ("phase.html", "phase.png", "sweep.json", "sweep.parquet")
LONGER = [
    ('"agent.desk.delay_steps" = [1, 2]', '"agent.desk.delay_steps" = [1, 2, 3, 4]'),
    ("seeds = 2", "seeds = 10"),
    ("horizon_days = 0.25", "horizon_days = 2"),
]


def started(*words: str | Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tailwag", "sweep", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
    )


def results(out: Path) -> list[Path]:
    return [path for path in (out / "tasks").glob("*.json") if path.name not in ("sweep.json",) and not path.name.startswith(".")]


def killed_after(count: int, folder: Path, *words: str) -> int:
    """Start a sweep, kill it (and nothing else) once ``count`` results are on disk; how many there were then."""
    running = started("grid.toml", "--out", "out", *words, cwd=folder)
    try:
        waited = time.monotonic() + 120.0
        while len(results(folder / "out")) < count and running.poll() is None and time.monotonic() < waited:
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.communicate()
    return len(results(folder / "out"))


def bytes_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_sweep_killed_in_the_middle_goes_on_to_the_same_bytes(tmp_path, workers):
    saved_grid(tmp_path, *LONGER)
    there = killed_after(5, tmp_path, "--workers", workers)
    assert 5 <= there < 80, "the kill must fall into the middle"
    assert not (tmp_path / "out" / "sweep.parquet").exists()
    before = {path.name: path.stat().st_mtime_ns for path in results(tmp_path / "out")}
    assert tailwag("sweep", tmp_path / "grid.toml", "--out", tmp_path / "out", "--workers", "1").code == 0
    after = {path.name: path.stat().st_mtime_ns for path in results(tmp_path / "out")}
    assert len(after) == 80
    assert {name: after[name] for name in before} == before, "what was done is not done again"
    assert tailwag("sweep", tmp_path / "grid.toml", "--out", tmp_path / "whole", "--workers", "1").code == 0
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


@pytest.mark.slow
def test_workers_end_when_the_sweep_is_killed(tmp_path):
    psutil = pytest.importorskip("psutil")
    saved_grid(tmp_path, *LONGER, ("paths = 16", "paths = 4000"))
    running = started("grid.toml", "--out", "out", "--workers", "2", cwd=tmp_path)
    try:
        waited = time.monotonic() + 120.0
        while len(results(tmp_path / "out")) < 2 and time.monotonic() < waited:
            time.sleep(0.01)
        children = psutil.Process(running.pid).children(recursive=True)
        assert len(children) >= 2
        os.kill(running.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == []
    finally:
        running.kill()
        running.communicate()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    saved_grid(folder)
    return folder, tailwag("sweep", folder / "grid.toml", "--out", folder / "out", "--workers", "1")


def test_the_answer_comes_first_then_the_table_then_the_files(swept):
    folder, outcome = swept
    assert outcome.code == 0
    said = outcome.out.decode()
    assert said.startswith("Hedging multiplies vol by ")
    assert "No path runs away at any point." in said
    assert (
        said.index("No path runs away")
        < said.index("Across: delay of desk, steps.")
        < said.index(f"wrote {folder / 'out' / 'sweep.parquet'}")
    )
    assert all(line.isascii() or "─" in line for line in said.splitlines())
    assert max(map(len, said.splitlines()[:10])) <= 100
    assert outcome.err.removeprefix("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n") == ""
    assert sorted(path.name for path in (folder / "out").iterdir()) == [*FILES, "tasks"]


def test_the_document_is_strict_and_names_its_table(swept):
    import hashlib

    folder, _ = swept
    document = strict((folder / "out" / "sweep.json").read_bytes())
    assert document["schema"] == "tailwag.sweep/1"
    assert document["table"]["sha256"] == hashlib.sha256((folder / "out" / "sweep.parquet").read_bytes()).hexdigest()
    assert [point["settings"] for point in document["points"]][1] == {"gain": -0.5, "agent.desk.delay_steps": 2}


def test_another_picture_needs_no_run(swept, monkeypatch):
    folder, first = swept
    monkeypatch.setattr("tailwag.experiments.sweep_maps.run_task", None)
    before = bytes_of(folder / "out")
    again = tailwag(
        "sweep", folder / "grid.toml", "--out", folder / "out", "--value", "desk.pnl_usd", "--where", "agent.desk.delay_steps=2"
    )
    assert again.code == 0, again.err
    assert "pnl of desk, USD" in again.out.decode().replace("Pnl", "pnl")
    after = bytes_of(folder / "out")
    assert after["sweep.json"] == before["sweep.json"]
    assert after["phase.png"] != before["phase.png"]
    assert tailwag("sweep", folder / "grid.toml", "--out", folder / "out").out == first.out
    assert bytes_of(folder / "out") == before


def test_json_alone_on_stdout_and_in_a_file(swept, tmp_path):
    folder, _ = swept
    written = (folder / "out" / "sweep.json").read_bytes()
    assert tailwag("sweep", folder / "grid.toml", "--out", folder / "out", "--json", "-").out == written
    assert tailwag("sweep", folder / "grid.toml", "--out", folder / "out", "--json", tmp_path / "copy.json").code == 0
    assert (tmp_path / "copy.json").read_bytes() == written


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "0"], "--workers expects 1 to 1,024"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "leave one out"),
        (["--x", "gian"], "--x expects one of gain, agent.desk.delay_steps"),
        (["--value", "vol"], "--value expects one of amplification"),
        (["--value", "fund.pnl_usd"], "--value expects one of amplification"),
        (["--where", "gain=7"], "--where: gain takes -0.5, 0.5"),
        (["--json", "nowhere/x.json"], "its folder is not there"),
    ],
)
def test_bad_words_are_refused_before_anything_runs(tmp_path, words, said):
    saved_grid(tmp_path)
    assert said in refused("sweep", tmp_path / "grid.toml", "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_grids(tmp_path):
    assert "grid.toml" in refused("sweep", tmp_path / "grid.toml", "--out", tmp_path / "out")
    (tmp_path / "grid.toml").write_bytes(b"\xff\xfe\x00")
    assert "expected UTF-8" in refused("sweep", tmp_path / "grid.toml", "--out", tmp_path / "out")
    (tmp_path / "out").write_text("a file")
    saved_grid(tmp_path)
    assert "--out expects a folder" in refused("sweep", tmp_path / "grid.toml", "--out", tmp_path / "out")


def test_help_shows_examples():
    outcome = tailwag("sweep", "--help")
    assert outcome.code == 0
    said = outcome.out.decode()
    for words in ("tailwag sweep examples/gain_latency.toml --out phase", "--scheduler", "damp"):
        assert words in said
