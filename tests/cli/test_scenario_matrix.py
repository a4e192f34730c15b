"""``tailwag scenario matrix``: what it writes, what it says, what it refuses, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.command import refused, tailwag

WORDS = ("scenario", "matrix", "zero-dte", "--with", "strike-limit:share=0.1", "--with", "window-ban", "--paths", "8")


def test_files_and_words_are_one_matrix(tmp_path: Path) -> None:
    out, names = tmp_path / "out", ("a.json", "a.md", "a.html", "a.png")
    files = {name: tmp_path / name for name in names}
    asked = ("--json", files["a.json"], "--markdown", files["a.md"], "--html", files["a.html"], "--png", files["a.png"])
    done = tailwag(*WORDS, "--out", out, *asked)
    assert done.code == 0, done.err
    printed = done.out.decode()
    document = json.loads(files["a.json"].read_bytes())
    assert document["schema"] == "tailwag.scenario-matrix/1"
    assert [path.name for path in out.iterdir()] == ["matrix.json"], "parts of a finished run are of no more use"
    assert (out / "matrix.json").read_bytes() == files["a.json"].read_bytes()
    assert all(f"wrote {path}" in printed for path in (out / "matrix.json", *files.values()))
    assert "1 mitigation against 1 scenario, 1 pair that applies" in " ".join(printed.split())
    assert "tailwag scenario matrix zero-dte --with strike-limit:share=0.1 --with window-ban --paths 8" in " ".join(printed.split())
    assert files["a.png"].read_bytes()[:4] == b"\x89PNG"
    assert files["a.html"].read_text().startswith("<!doctype html>")
    assert "| zero-dte | paths that run away or exhaust the depth |" in files["a.md"].read_text()


def test_json_alone_on_stdout_and_the_same_for_any_threads() -> None:
    one, two = (tailwag(*WORDS, "--json", "-", "--threads", count) for count in ("1", "2"))
    assert one.document["tried"] == 1
    assert one.out == two.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("quiet-pinn",), "did you mean quiet-pin"),
        (("quiet-pin", "--with", "circuit-braker"), "did you mean circuit-breaker"),
        (("quiet-pin", "--with", "batch", "--with", "batch"), "batch twice"),
        (("quiet-pin", "quiet-pin"), "quiet-pin twice"),
        (("quiet-pin", "--paths", "0"), "paths"),
        (("quiet-pin", "--threads", "0"), "threads"),
        (("quiet-pin", "--markdown", "/nowhere/at/all.md"), "--markdown"),
        (("quiet-pin", "--html", "/nowhere/at/all.html"), "--html"),
        (("quiet-pin", "--with", "batch:every_minutes=soon"), "every_minutes as a number"),
    ],
)
def test_wrong_words_are_refused_in_one_sentence(words: tuple[str, ...], said: str) -> None:
    told = refused("scenario", "matrix", *words)
    assert said in told
    assert told.count("\n") <= 2
