"""For everybody: no violation of any accessibility rule in either theme and size, no sideways scrolling, no motion where none is wanted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gates.page.live_page import Served, Visit, violations, visit
from tests.gates.sizes import gate_size

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST_LOOKS = [(1280, "light"), (390, "dark")][: gate_size(small=1, full=2)]
FOLDED = "document.querySelectorAll('details').forEach((one) => { one.open = false; }); scrollTo(0, 0)"
OTHER = {"light": "dark", "dark": "light"}


@pytest.mark.parametrize(("width", "scheme"), FIRST_LOOKS)
def test_no_rule_of_accessibility_is_broken(browser: Any, service: Served, width: int, scheme: str) -> None:
    """With every figure drawn and a question answered, every fold open; then in the other theme, changed under the reader; then looking at the past.

    Open folds are looked at in the theme that a window begins in, the past in the one that it ends in: the two windows begin and end in different ones.
    """
    with visit(browser, service.url, width=width, scheme=scheme) as seen:
        seen.until("Number(document.querySelector('#past-slider').max) >= 2")
        seen.page.fill("#what-if-rule", "short-all")
        seen.page.press("#what-if-rule", "Enter")
        seen.until("!document.querySelector('#what-if-answer').hidden")
        seen.draw_everything()
        seen.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert violations(seen) == []
        assert seen.ask("document.documentElement.scrollWidth") <= width
        other_theme(seen, OTHER[scheme])
        seen.ask(FOLDED)
        assert violations(seen) == []
        seen.page.press("#past-slider", "Home")
        seen.until("document.body.dataset.past === 'yes'")
        assert violations(seen) == []
        assert seen.ask("document.documentElement.scrollWidth") <= width
        assert seen.errors == []


def other_theme(seen: Visit, scheme: str) -> None:
    """Change it, and wait until every figure has followed: the letters at its axes are of another colour then."""
    letters = "[...document.querySelectorAll('.figure')].map((one) => one.querySelector('.xtick text')).map((one) => one && getComputedStyle(one).fill)"
    was = seen.ask(letters)
    assert any(was)
    seen.page.emulate_media(color_scheme=scheme)
    seen.draw_everything()
    seen.until(f"(was) => {letters}.every((fill, rank) => !fill || fill !== was[rank])", was)


@pytest.mark.parametrize("width", [320, 640][: gate_size(small=1, full=2)])
def test_nothing_scrolls_sideways_when_enlarged(browser: Any, service: Served, width: int) -> None:
    """A window of 1280 pixels at 200 % and at 400 % is one of 640 and of 320; and who wants no motion sees none."""
    with visit(browser, service.url, width=width, height=400, motion="reduce") as seen:
        seen.draw_everything()
        assert seen.ask("document.documentElement.scrollWidth") <= width
        assert seen.ask("document.getAnimations().length") == 0
        wide = "[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll, .figure, .unseen') && one.offsetParent && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.id || one.className)"
        assert seen.ask(wide) == []
