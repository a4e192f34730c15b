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
RESULTS = {"resultTypes": ["violations", "incomplete"]}
"""Every rule runs; only what passed is not listed element by element, which took most of the time."""

OVER = ("<text", "<tspan", '<strong id="stale-words"')
LEAST_CONTRAST = 4.5
CONTRAST = """
(targets) => {
  const parts = (colour) => { const [red, green, blue, alpha = 1] = colour.match(/[\\d.]+/g).map(Number); return [red, green, blue, alpha]; };
  const over = (top, below) => top.slice(0, 3).map((one, place) => one * top[3] + below[place] * (1 - top[3]));
  const light = (colour) => colour.map((one) => one / 255).map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const contrast = (target) => {
    const element = document.querySelector(target), layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== 'none' || style.opacity !== '1' || !/^rgba?\\(/.test(style.backgroundColor)) return null;
      layers.push(parts(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    if (layers.at(-1)[3] !== 1) return null;
    const ground = layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    const [one, other] = [light(over(parts(getComputedStyle(element).color), ground)), light(ground)];
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  return targets.map(contrast);
}
"""
"""WCAG's contrast of an element's letters with what lies behind them; null where an image or a share of transparency is in between."""


@dataclass(frozen=True)
class SilentFile:
    """The snapshot file of a source that anybody may silence: while another file lies beside it, it is not written anew."""

    path: Path

    @property
    def _silence(self) -> Path:
        return self.path.with_suffix(".silent")

    def talks(self) -> bool:
        return not self._silence.exists()

    def be_silent(self) -> None:
        self._silence.touch()

    def talk(self) -> None:
        self._silence.unlink(missing_ok=True)


@contextmanager
def talking(path: Path) -> Iterator[SilentFile]:
    """A snapshot file that is written anew every other second, unless it is told to be silent."""
    file, over = SilentFile(path), threading.Event()

    def run() -> None:
        while not over.wait(EVERY_SECONDS):
            if file.talks():
                write_market(path)

    write_market(path)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield file
    finally:
        over.set()
        thread.join(10.0)


def write_market(path: Path) -> None:
    from tailwag.sources.demo_moving import moving_demo
    from tailwag.sources.snapshot_file import save

    save(moving_demo(time.time_ns() // 1000 * 1000, seed=11), path)


@dataclass
class Served:
    """Its address, a client to it, and the file that is its second source."""

    url: str
    client: httpx.Client
    file: SilentFile

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def history(self, name: str, **query: Any) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/history", field=name, limit=10_000, **query)["points"])


@contextmanager
def served() -> Iterator[Served]:
    """`tailwag serve` on a free port with the moving demo and the talking file, both measured."""
    with tempfile.TemporaryDirectory(prefix="tailwag-page-") as folder, talking(Path(folder) / "desk.twag") as file:
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
            with visited(url=found[1] + "/", path=str(file.path)) as here:
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


@contextmanager
def visited(*, url: str, path: str) -> Iterator[Served]:
    """A service that runs already."""
    with httpx.Client(base_url=url, timeout=20.0) as client:
        yield Served(url, client, SilentFile(Path(path)))


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
    """Every rule of axe that the page breaks, of whatever impact, no rule left out; and what nobody could decide of the page's own elements.

    Axe does not decide on the contrast of what a scrolled table cuts off, nor of a single letter: it is worked out here from the colours in use.
    It does not either of letters of a drawing, or of the banner that lies over the page: the contrast of those is worked out from the style sheet by the
    page's own tests.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install axe-playwright-python")
    seen.ask("scrollTo(0, 0)")
    found = axe.Axe().run(seen.page, options=RESULTS).response
    broken = [f"{one['id']} ({one['impact']}): {node['target']}" for one in found["violations"] for node in one["nodes"]]
    undecided = [(one["id"], node) for one in found["incomplete"] for node in one["nodes"] if not node["html"].startswith(OVER)]
    contrasts = iter(seen.ask(CONTRAST, [node["target"][0] for rule, node in undecided if rule == "color-contrast"]))
    unsure = [
        f"{rule}, undecided: {node['target']}"
        for rule, node in undecided
        if rule != "color-contrast" or (next(contrasts) or 0.0) < LEAST_CONTRAST
    ]
    return broken + unsure
