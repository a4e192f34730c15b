"""A run that is cut short goes on to the same bytes; what is left of another run is never used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.experiments.scenario_texts import BASE, changed, saved

from tailwag.experiments.partial_runs import PartialRun
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_files import ScenarioFile, load_scenario
from tailwag.experiments.simulate import simulate_file


class CutShort(Exception):
    """The power went out."""


@pytest.fixture
def file(tmp_path: Path) -> ScenarioFile:
    return load_scenario(saved(tmp_path, changed(("paths = 64", "paths = 4500"))))  # five blocks of up to 1,024


def cut(after: int):
    def progress(done: int, total: int) -> None:
        if done >= after:
            raise CutShort

    return progress


@pytest.mark.parametrize("threads", [1, 2])
def test_cut_short_and_taken_up_again(tmp_path, file, threads):
    whole = strict_json(simulate_file(file).document)
    part = PartialRun.opened(tmp_path, file, every_seconds=0.0)
    with pytest.raises(CutShort):
        simulate_file(file, threads=threads, part=part, progress=cut(2000))
    again = PartialRun.opened(tmp_path, file)
    finished = sum(again.done.values())
    assert 2000 <= finished < 4500
    seen: list[int] = []
    document = simulate_file(file, part=again, progress=lambda done, total: seen.append(done)).document
    assert strict_json(document) == whole
    assert seen[0] > finished  # what was done is not run again
    assert len(seen) == 5 - len(range(0, finished, 1024))
    again.finish()
    assert not (tmp_path / ".partial").exists()


def test_a_whole_run_leaves_nothing_and_writes_nothing_early(tmp_path, file):
    part = PartialRun.opened(tmp_path, file)  # every 20 seconds: this run is over before
    simulate_file(file, part=part)
    part.finish()
    assert not (tmp_path / ".partial").exists()


@pytest.mark.parametrize(
    "other", [{"seed": 8}, {"paths": 4000}, {"sha256": "0" * 64}, {"files": {"measure.json": "0"}}, {"vol_is": "observed"}]
)
def test_parts_of_another_run_are_not_used(tmp_path, file, other):
    part = PartialRun.opened(tmp_path, file, every_seconds=0.0)
    with pytest.raises(CutShort):
        simulate_file(file, part=part, progress=cut(1))
    assert PartialRun.opened(tmp_path, file).done
    assert PartialRun.opened(tmp_path, replace(file, **other)).done == {}


def test_other_versions_are_another_run(tmp_path, file, monkeypatch):
    part = PartialRun.opened(tmp_path, file, every_seconds=0.0)
    with pytest.raises(CutShort):
        simulate_file(file, part=part, progress=cut(1))
    monkeypatch.setattr("tailwag.experiments.partial_runs.versions", lambda: {"tailwag": "0.0.0"})
    assert PartialRun.opened(tmp_path, file).done == {}


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-7], lambda data: data[:40] + b"x" + data[41:], lambda data: b"", lambda data: b"x" * 100]
)
def test_a_damaged_part_counts_for_nothing(tmp_path, file, damage):
    part = PartialRun.opened(tmp_path, file, every_seconds=0.0)
    with pytest.raises(CutShort):
        simulate_file(file, part=part, progress=cut(1))
    part.path.write_bytes(damage(part.path.read_bytes()))
    assert PartialRun.opened(tmp_path, file).done == {}


def test_parts_are_written_when_it_is_time(tmp_path, file):
    seconds = [0.0]

    def clock() -> float:
        return seconds[0]

    part = PartialRun.opened(tmp_path, file, every_seconds=20.0, clock=clock)
    there: list[bool] = []

    def progress(done: int, total: int) -> None:
        there.append(part.path.exists())
        seconds[0] += 9.0

    simulate_file(file, part=part, progress=progress)
    assert there == [False, False, False, True, True]  # at 27 seconds


KILLED = """
import os, signal, sys
from pathlib import Path
from tailwag.experiments.partial_runs import PartialRun
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.simulate import simulate_file
file = load_scenario(sys.argv[1])
def progress(done, total):
    if done > 2000:
        os.kill(os.getpid(), signal.SIGKILL)
simulate_file(file, part=PartialRun.opened(Path(sys.argv[2]), file, every_seconds=0.0), progress=progress)
"""


def test_killed_and_run_again_by_the_command(tmp_path):
    path = saved(tmp_path, changed(("paths = 64", "paths = 4500"), text=BASE))
    out = tmp_path / "out"
    out.mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(out)], check=False, capture_output=True, env=os.environ)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list((out / ".partial").iterdir())) == 1
    from tests.cli.command import tailwag

    assert tailwag("simulate", path, "--out", out).code == 0
    assert tailwag("simulate", path, "--out", tmp_path / "fresh").code == 0
    assert (out / "run.json").read_bytes() == (tmp_path / "fresh" / "run.json").read_bytes()
    assert [entry.name for entry in out.iterdir()] == ["run.json"]
