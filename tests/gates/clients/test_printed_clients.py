"""The clients that the reference prints, run as printed beside a real ``tailwag serve``: only the port is another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.service.live_service import Serving, serving

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "api.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?\Z")


def printed(kind: str) -> str:
    found = re.search(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, kind
    return found[1]


def commands() -> list[tuple[str, list[str]]]:
    """Each printed command with the lines printed under it."""
    found: list[tuple[str, list[str]]] = []
    for line in printed("console").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def shape(line: str) -> list[str]:
    """What stays when the numbers are others: keys and kinds of values of JSON, kinds of words of anything else."""
    if line.startswith("{"):
        line = re.sub(r'("[a-z_]+":)"[^"]*"', r'\1"text"', line)
        return [
            part if part.startswith('"') and part.endswith('":') else kind(part)
            for part in re.findall(r'"[a-z_]+":|"[^"]*"|[-\d.eE+]+|[\w]+|[\[\]{}]', line)
        ]
    return [kind(word) for word in line.split()]


def kind(word: str) -> str:
    if NUMBER.match(word):
        return "number"
    return word if word in "[]{}" else "word"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("printed")
    with serving(folder, "--every", "0.5", "--store", str(folder / "store")) as running:
        deadline = time.monotonic() + 240.0
        with httpx.Client(verify=False, timeout=60.0) as client:
            while client.get(f"{running.address}/api/v1/history?field=gain.value").json().get("points", []) == []:
                assert time.monotonic() < deadline, "nothing was measured"
                time.sleep(0.1)
        yield running


def test_enough_is_printed() -> None:
    assert {words.split()[0] for words, _ in commands()} >= {"curl", "websocat"}
    program = [line for line in printed("py").splitlines() if line.strip()]
    assert len(program) <= 10


@pytest.mark.parametrize(("command", "lines"), commands())
def test_a_command_gives_what_is_printed_under_it(command: str, lines: list[str], service: Serving) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    tool = "websocat" if "websocat" in command else "curl"
    if shutil.which(tool, path=path) is None:
        pytest.skip(f"needs {tool}")
    done = subprocess.run(
        ["bash", "-c", command.replace(":8765", f":{service.port}")],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30.0,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (expected,) = lines
    known = expected.partition("...")[0]
    assert shape(done.stdout.strip())[: len(shape(known))] == shape(known)
    assert expected.endswith("...") or len(shape(done.stdout.strip())) == len(shape(expected))


def test_the_ten_lines_of_python_print_what_is_printed(service: Serving) -> None:
    program = printed("py").replace(":8765", f":{service.port}")
    expected = printed("text").splitlines()
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        came = [process.stdout.readline() for _ in expected]
        process.terminate()
    assert [shape(line) for line in came] == [shape(line) for line in expected]
    assert came[0].split()[0] == "now"
    assert came[1].split()[0] == "measure"
