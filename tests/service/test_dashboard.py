"""The page's files: complete, safe under a strict policy, and in the colours of the other reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tailwag.service.dashboard as dashboard
from tailwag.figures.palette import DARK, LIGHT, Palette
from tailwag.service.dashboard import static_files

FOLDER = Path(dashboard.__file__).parent
OWN = [file for file in static_files() if "plotly" not in file.path]


def test_every_file_of_the_folder_is_listed_and_there() -> None:
    listed = {"index.html" if file.path == "/" else file.path.removeprefix("/static/") for file in OWN}
    assert listed == {path.name for path in FOLDER.iterdir() if path.suffix in {".html", ".js", ".css"}}
    assert all(file.content() for file in static_files())
    assert b"Plotly" in static_files()[-1].content() or b"plotly" in static_files()[-1].content()


def test_every_module_that_is_imported_exists() -> None:
    names = {file.path.removeprefix("/static/") for file in OWN}
    for file in OWN:
        for name in re.findall(r'from "\./([\w.]+)"', file.content().decode()):
            assert name in names, f"{file.path} imports {name}"


def test_nothing_needs_a_loose_policy_or_another_address() -> None:
    page = next(file for file in OWN if file.path == "/").content().decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"\s(style|on\w+)=", page)
    for file in OWN:
        text = file.content().decode()
        assert not re.search(r"https?://|//cdn|@import", text), file.path
        # text becomes markup nowhere, and nothing is evaluated
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), file.path


def declared(style: str) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in re.findall(r"--([\w-]+): ([^;]+);", style)}


@pytest.mark.parametrize(("rank", "colours"), [(0, LIGHT), (1, DARK)])
def test_the_colours_are_those_of_every_other_figure(rank: int, colours: Palette) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (FOLDER / "style.css").read_text(encoding="utf-8"), re.DOTALL)
    found = declared(blocks[rank])
    renamed = {
        "surface": "card",
        "sell": "map_sell",
        "sell_soft": "map_sell_soft",
        "neutral": "map_neutral",
        "buy_soft": "map_buy_soft",
        "buy": "map_buy",
    }
    for name in Palette.__slots__:
        given = re.sub(r"\s", "", found[renamed.get(name, name)])
        assert given == re.sub(r"\s", "", getattr(colours, name)), name
