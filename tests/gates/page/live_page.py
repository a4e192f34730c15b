"""A real `tailwag serve` with two sources, one of which the test can silence, and real pages of it in Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest

MISSING = "needs a browser: apt-get install chromium fonts-dejavu-core, or name one in CHROMIUM_PATH"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update", "--disable-sync"]
PATIENCE_SECONDS = 25.0
EVERY_SECONDS = 2.0
WATCH = """
window.seen = {updates: [], shifts: [], refused: [], spots: [], told: []};
const watch = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({type, buffered: true});
watch('measure', (entry) => { if (entry.name === 'update') window.seen.updates.push(entry.duration); });
const shifted = ({node, previousRect, currentRect}) => `${node && (node.id || node.className || node.nodeName)} ${previousRect.y} to ${currentRect.y}`;
watch('layout-shift', (entry) => { if (!entry.hadRecentInput) window.seen.shifts.push([entry.startTime, entry.value, entry.sources.map(shifted)]); });
addEventListener('securitypolicyviolation', (event) => window.seen.refused.push(event.violatedDirective + ' ' + event.blockedURI));
addEventListener('DOMContentLoaded', () => {
  const spot = document.querySelector('#spot');
  new MutationObserver(() => window.seen.spots.push(spot.textContent)).observe(spot, {childList: true, characterData: true, subtree: true});
  const region = document.querySelector('#announcements');
  new MutationObserver(() => window.seen.told.push(...[...region.children].map((one) => one.textContent))).observe(region, {childList: true});
});
"""
"""What the test wants to know of a page: written down by the page itself from its first moment on."""


class TalkingFile:
    """A snapshot file that is written anew every other second, until it is told to be silent."""

    def __init__(self, path: Path) -> None:
        self.path, self._talks, self._ends = path, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._talks.set()
        self._write()

    def __enter__(self) -> TalkingFile:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ends.set()
        self._thread.join(10.0)

    def be_silent(self) -> None:
        self._talks.clear()

    def talk(self) -> None:
        self._talks.set()

    def _run(self) -> None:
        while not self._ends.wait(EVERY_SECONDS):
            if self._talks.is_set():
                self._write()

    def _write(self) -> None:
        from tailwag.sources.demo_moving import moving_demo
        from tailwag.sources.snapshot_file import save

        save(moving_demo(time.time_ns() // 1000 * 1000, seed=11), self.path)


@dataclass
class Served:
    """The process, its address, a client to it, and the file that is its second source."""

    url: str
    client: httpx.Client
    file: TalkingFile

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def history(self, name: str, **query: Any) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/history", field=name, limit=10_000, **query)["points"])


@contextmanager
def served() -> Iterator[Served]:
    """`tailwag serve` on a free port with the moving demo and the talking file, both measured."""
    with tempfile.TemporaryDirectory(prefix="tailwag-page-") as folder, TalkingFile(Path(folder) / "desk.twag") as file:
        words = ["--port", "0", "--source", "demo", "--source", str(file.path), "--every", "2", "--store", str(Path(folder) / "store")]
        environment = {key: value for key, value in os.environ.items() if key != "TAILWAG_TOKEN_FILE"}
        process = subprocess.Popen(
            [sys.executable, "-m", "tailwag", "serve", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"serves (http://\S+?)/ ", line)
            assert found, line
            with httpx.Client(base_url=found[1], timeout=20.0) as client:
                here = Served(found[1] + "/", client, file)
                until(lambda: all(one["seq"] for one in here.get("/api/v1/sources")["sources"]))
                yield here
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15.0)
            finally:
                process.kill()
                if process.stdout is not None:
                    process.stdout.close()


def until(question: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask until the answer is true, and give it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := question():
            return found
        time.sleep(0.05)
    raise AssertionError("never came true")


def browser_path() -> str:
    """Where the browser is; the test is skipped, with what to install, where there is none."""
    path = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium")
    if not path:
        pytest.skip(MISSING)
    return path


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped, with what to install, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = browser_path()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page, what went wrong on it, and where it went."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def ask(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def until(self, script: str, argument: Any = None, *, seconds: float = PATIENCE_SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := self.ask(script, argument):
                return found
            self.page.wait_for_timeout(40)
        raise AssertionError(f"never came true: {script}")

    def text(self, selector: str) -> str:
        return str(self.ask("(one) => document.querySelector(one).innerText", selector))

    def state(self, name: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        self.until("(name) => document.body.dataset.live === name", name, seconds=seconds)

    def draw_everything(self) -> None:
        for place in self.page.locator(".figure").all():
            place.scroll_into_view_if_needed()
        self.until("[...document.querySelectorAll('.figure')].every((place) => place.querySelector('.main-svg'))")


def said_wrong(message: Any) -> bool:
    """An error or a warning on the console; that a machine under load turned a question away (503) is none: the page asks again."""
    return message.type in ("error", "warning") and "503" not in message.text


@contextmanager
def visit(
    browser: Any, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light", motion: str = "no-preference"
) -> Iterator[Visit]:
    """Open the page and leave it again; until it is live it is not given."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion=motion)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    context.add_init_script(WATCH)
    seen = Visit(context.new_page())
    seen.page.on(
        "console", lambda message: seen.errors.append(f"{message.text} {message.location.get('url')}") if said_wrong(message) else None
    )
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("websocket", lambda socket: seen.requests.append(socket.url))
    seen.page.goto(url)
    seen.until("() => document.body.dataset.live === 'live'", seconds=20.0)
    yield seen
    context.close()


def violations(seen: Visit) -> list[str]:
    """Every rule of axe that the page breaks, of whatever impact, no rule left out; and what axe could not decide of the page's own elements.

    It cannot decide on the colours behind letters of a drawing, or behind the banner that lies over the page: the contrast of those is
    worked out from the style sheet by the page's own tests.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install axe-playwright-python")
    seen.ask("scrollTo(0, 0)")
    found = axe.Axe().run(seen.page).response
    broken = [f"{one['id']} ({one['impact']}): {node['target']}" for one in found["violations"] for node in one["nodes"]]
    undecided = [(one["id"], node) for one in found["incomplete"] for node in one["nodes"]]
    over = ("<text", "<tspan", '<strong id="stale-words"')
    unsure = [f"{rule}, undecided: {node['target']}" for rule, node in undecided if not node["html"].startswith(over)]
    return broken + unsure
