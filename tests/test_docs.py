"""The documentation is true: its programs run, its commands and options exist, its links lead somewhere, its figures are the data's."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]
FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<kind>\{?[\w-]*\}?)[^\n]*\n(?P<body>.*?)^(?P=ticks)\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
PROGRAMS = ("python", "{code-cell}")
LIVE = re.compile(r"\b(deribit|okx|bybit|binance):[A-Z]+\b")
READERS_FILES = frozenset(
    ["chain.json", "chain", "chains.parquet", "spx.csv", "ibit.csv", "books.json", "trades.json", "my_positions.csv", "my_book.csv"]
)
"""Files that only the reader has: commands that name one are checked for their words, not run."""


@dataclass(frozen=True)
class Step:
    """One fenced block of a page that a reader would run."""

    kind: str
    body: str
    line: int


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def steps_of(page: Path) -> Iterator[Step]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        kind = match["kind"]
        if kind in (*PROGRAMS, "sh"):
            body = "\n".join(line for line in match["body"].split("\n") if not (kind == "{code-cell}" and line.startswith(":")))
            yield Step("sh" if kind == "sh" else "python", body, text.count("\n", 0, match.start()) + 2)


def commands_of(step: Step) -> Iterator[list[str]]:
    for line in step.body.replace("\\\n", " ").split("\n"):
        words = shlex.split(line, comments=True)
        if words:
            yield words


def all_commands() -> Iterator[tuple[Path, list[str]]]:
    for page in PAGES:
        for step in steps_of(page):
            if step.kind == "sh":
                yield from ((page, words) for words in commands_of(step))


def needs_the_reader(words: list[str]) -> bool:
    named = {part for word in words for part in re.split(r"[:@+=]", word)}
    return any(LIVE.search(word) for word in words) or bool(named & READERS_FILES)


def run_command(words: list[str], where: str) -> None:
    from tailwag.cli import main

    out, err = io.StringIO(), io.StringIO()
    out.buffer = io.BytesIO()  # type: ignore[attr-defined]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(words[1:])
    assert ended.value.code in (0, None), f"{where}: {' '.join(words)}\n{err.getvalue()}"


@pytest.mark.docs
@pytest.mark.parametrize("page", [page for page in PAGES if any(steps_of(page))], ids=name_of)
def test_the_programs_of_a_page_run_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for step in steps_of(page):
        where = f"{name_of(page)}:{step.line}"
        if step.kind == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                builtins.exec(compile("\n" * (step.line - 1) + step.body, str(page), "exec"), namespace)
            continue
        for words in commands_of(step):
            if words[0] == "tailwag" and not needs_the_reader(words):
                run_command(words, where)


def command_options() -> dict[str, set[str]]:
    """Every option of every command, as the command line itself knows them."""
    import typer

    from tailwag.cli import build_app

    group = typer.main.get_command(build_app())
    commands = group.commands  # type: ignore[attr-defined]
    return {name: {spelling for param in command.params for spelling in param.opts} for name, command in commands.items()}


@pytest.mark.docs
def test_every_command_and_option_that_a_page_shows_exists() -> None:
    known = command_options()
    shown = [(page, words) for page, words in all_commands() if words[0] == "tailwag"]
    assert len(shown) > 20
    for page, words in shown:
        if words[1].startswith("-"):
            continue
        assert words[1] in known, f"{name_of(page)}: there is no command {words[1]}"
        strange = [word for word in words if word.startswith("--") and word not in known[words[1]]]
        assert not strange, f"{name_of(page)}: {words[1]} has no {strange}"


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        target, _, anchor = match["target"].partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        place = page if not target else (page.parent / target).resolve()
        if page == ROOT / "README.md" and target in ("CHANGELOG", "CHANGELOG.md"):
            place = ROOT / "CHANGELOG.md"
        assert place.exists(), f"{name_of(page)}: {match['target']} does not exist"
        if anchor:
            assert anchor in anchors_of(place), f"{name_of(page)}: {match['target']} has no such heading"


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#{1,3} (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.docs
def test_every_page_is_reached_from_the_map() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        reached = str(page.relative_to(DOCS).with_suffix(""))
        assert reached == "index" or f"\n{reached}\n" in index, f"{reached} is in no toctree"
        assert reached == "index" or f"({reached}.md)" in index, f"{reached} is not in the map of questions"
