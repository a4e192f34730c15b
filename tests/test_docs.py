"""The documentation is true: its programs run, its commands and options exist, its links lead somewhere, its figures are the data's."""

from __future__ import annotations

import builtins
import contextlib
import io
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
LIVE = re.compile(r"\b(deribit|okx|bybit|binance)(-ws)?:[A-Z]+\b")
READERS_FILES = frozenset(
    [
        "chain.json",
        "chain",
        "chains.parquet",
        "candles_15m.csv",
        "spx.csv",
        "ibit.csv",
        "books.json",
        "trades.json",
        "my_positions.csv",
        "my_book.csv",
        "grid.toml",
        "my-market.toml",
        "alerts.toml",
        "measured.json",
    ]
)
"""Files that only the reader has: commands that name one are checked for their words, not run."""
LONG_PLAYS = ("tailwag scenario compare vault-epoch",)
"""Beginnings of commands that play for most of a minute: their scenario and switches are made, and played in the slow suite alone."""


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
    """Whether a command waits for somebody: for a venue, a file of the reader's, or, as a service does, for the signal to stop."""
    named = {part for word in words for part in re.split(r"[:@+=/]", word)}
    return words[1:2] == ["serve"] or any(LIVE.search(word) for word in words) or bool(named & READERS_FILES)


def run_command(words: list[str], where: str) -> None:
    from tailwag.cli import main

    out, err = io.StringIO(), io.StringIO()
    out.buffer = io.BytesIO()  # type: ignore[attr-defined]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(words[1:])
    assert ended.value.code in (0, None), f"{where}: {' '.join(words)}\n{err.getvalue()}"


def plays_long(words: list[str]) -> bool:
    return " ".join(words).startswith(LONG_PLAYS)


def rehearse_command(words: list[str], where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a comparison does before its first step: its words are read, its scenario opened and each of its switches thrown."""
    from tailwag.experiments import scenario_play
    from tailwag.experiments.scenario_matrix_twins import alike

    rehearsed: list[int] = []

    def rehearsal(story: Any, file: Any, chosen: Any, **_options: Any) -> Any:
        for switch in chosen:
            assert not alike(switch(file.scenario), file.scenario), f"{where}: {switch.label} changes nothing"
        rehearsed.append(len(chosen))
        raise SystemExit(0)

    with monkeypatch.context() as patched:
        patched.setattr(scenario_play, "play", rehearsal)
        run_command(words, where)
    assert rehearsed, f"{where}: {' '.join(words)} compared nothing"
    assert rehearsed[0] >= max(words.count("--with"), 1), f"{where}: {' '.join(words)} lost a switch"


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
            if words[0] == "tailwag" and plays_long(words):
                rehearse_command(words, where, monkeypatch)
            elif words[0] == "tailwag" and not needs_the_reader(words):
                run_command(words, where)


@pytest.mark.docs
@pytest.mark.slow
@pytest.mark.parametrize("words", [words for _, words in all_commands() if plays_long(words)], ids=" ".join)
def test_a_long_play_runs_as_it_is_printed(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_command(words, "a page")


def command_options() -> dict[str, set[str]]:
    """Every option of every command, as the command line itself knows them; a command of commands has those of all of them."""
    import typer

    from tailwag.cli import build_app

    def spellings(command: Any) -> set[str]:
        inner = set().union(*(spellings(one) for one in getattr(command, "commands", {}).values()))
        return inner | {spelling for param in command.params for spelling in param.opts}

    return {name: spellings(command) for name, command in typer.main.get_command(build_app()).commands.items()}  # type: ignore[attr-defined]


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


# The reference names everything that exists


def page_text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {str(key) for key in value} | {key for item in value.values() for key in keys_of(item)}
    return {key for item in value for key in keys_of(item)} if isinstance(value, list) else set()


@pytest.mark.docs
def test_the_json_page_names_every_key() -> None:
    import tailwag as tw
    from tailwag.experiments.measure import MeasureOptions

    mixture = tw.Mixture(((tw.LongCallsShortPuts(), 0.6), (tw.ShortAll(), 0.4)), draws=20)
    own = "instrument,contracts\nBTC-25SEP26-100000-C,-250\n"
    options = MeasureOptions(dynamics="sticky-strike", rules=(mixture,), own_book=own, trades=("-5 BTC-25SEP26-100000-C",))
    document = tw.measure(tw.demo(), options).document()
    document["chain"]["open_interest_coin_by_venue"] = {}
    text = page_text("reference/measure-json.md")
    assert {key for key in keys_of(document) if not re.search(rf"[`.]{key}`", text)} == set()


@pytest.mark.docs
def test_the_command_line_page_names_every_option_and_only_those() -> None:
    known = command_options()
    text = page_text("reference/command-line.md")
    assert set(re.findall(r"^## tailwag (\w+)", text, re.MULTILINE)) == set(known)
    shown = set(re.findall(r"`(--[a-z-]+)", text))
    assert {spelling for options in known.values() for spelling in options if spelling.startswith("--")} - shown == set()


@pytest.mark.docs
def test_the_faults_page_names_every_code() -> None:
    from tailwag.market.codes import NO_VENUE_VOL, QUARANTINE, RowCode

    out, notes = page_text("explanation/masks-and-faults.md").split("## Notes")
    for code in RowCode:
        where = out if code & (QUARANTINE | NO_VENUE_VOL) else notes
        assert f"| `{code.code}` |" in where, code


@pytest.mark.docs
def test_the_python_page_names_every_public_name_and_parameter() -> None:
    import inspect

    import tailwag as tw

    text = page_text("reference/python.md")
    for name in tw.__all__:
        if name.startswith("_"):
            continue
        value = getattr(tw, name)
        if inspect.isclass(value):
            assert f"tw.{name}" in text, name
            continue
        row = re.search(rf"^\| `{name}` \|(.*)$", text, re.MULTILINE)
        assert row, f"{name} has no row"
        missing = [parameter for parameter in inspect.signature(value).parameters if f"`{parameter}`" not in row[1]]
        assert not missing, f"{name}: {missing}"


@pytest.mark.docs
def test_the_snapshot_page_names_every_column() -> None:
    from dataclasses import fields

    from tailwag.market.book import OrderBook
    from tailwag.market.chain import Chain
    from tailwag.market.snapshot import Futures
    from tailwag.market.trades import Trades

    text = page_text("reference/snapshot-format.md")
    ours = {field.name for noun in (Chain, Futures, OrderBook, Trades) for field in fields(noun)} - {"currency", "repeats_removed"}
    assert {name for name in ours if f"`{name}`" not in text} == set()


def test_pictures_are_small_and_all_used() -> None:
    pictures = list((DOCS / "images").glob("*.png"))
    assert sum(picture.stat().st_size for picture in pictures) < 300_000
    everything = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [picture.name for picture in pictures if f"images/{picture.name}" not in everything] == []
