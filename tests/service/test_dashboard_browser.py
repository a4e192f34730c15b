"""The page in a real browser, against a server that the test controls: live, stale, gone, back, past, hostile; by eye, keyboard and screen reader."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.browser_views import VIEWS
from tests.experiments.masked_chain import masked_document
from tests.experiments.sample_document import empty_document, hostile_document, sample_document
from tests.service.dashboard_server import DashboardServer

pytestmark = pytest.mark.browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
DOCUMENTS: dict[str, Any] = {
    "own-book": lambda: sample_document(my_book=True),
    "no-depth": lambda: sample_document(liquidity=False),
    "one-expiry": lambda: sample_document(expiries=1),
    "empty": empty_document,
    "masked": masked_document,
    "hostile": hostile_document,
}
NOT_NUMBERS = re.compile(r"\b(NaN|undefined|null|Infinity|\[object)\b")
LIVE = "document.body.dataset.live"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium")
    if not path:
        pytest.skip("needs a browser: apt-get install chromium fonts-dejavu-core, or name one in CHROMIUM_PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[DashboardServer]:
    with DashboardServer(sample_document(my_book=True)) as running:
        yield running


@dataclass
class Visit:
    """A page and whatever went wrong on it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def until(self, script: str, *, seconds: float = 15.0) -> None:
        """Ask until it is so; the page's own policy forbids the evaluation that a waiting function would need."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.page.evaluate(script):
                return
            self.page.wait_for_timeout(40)
        raise AssertionError(f"never came true: {script}")

    def state(self, name: str, *, seconds: float = 15.0) -> None:
        self.until(f"{LIVE} === '{name}'", seconds=seconds)

    def text(self, selector: str) -> str:
        return str(self.page.evaluate("(one) => document.querySelector(one).innerText", selector))

    def scroll_through(self) -> None:
        """Every figure drawn, as if read from top to bottom."""
        for place in self.page.locator(".figure").all():
            place.scroll_into_view_if_needed()
        self.until("[...document.querySelectorAll('.figure')].every((place) => place.querySelector('.main-svg'))")


def visit(chromium: Any, server: DashboardServer, *, width: int = 1280, scheme: str = "light", state: str = "live") -> Visit:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(20_000)
    seen = Visit(context.new_page())
    seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type in ("error", "warning") else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.errors.append(f"dialog {dialog.message}"))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("websocket", lambda socket: seen.requests.append(socket.url))
    seen.page.goto(server.url)
    if state:
        seen.state(state)
    return seen


@pytest.fixture
def live(chromium: Any, server: DashboardServer) -> Iterator[Visit]:
    seen = visit(chromium, server)
    yield seen
    seen.page.context.close()


@VIEWS
def test_the_whole_page_is_drawn_and_asks_loopback_only(chromium: Any, server: DashboardServer, width: int, scheme: str) -> None:
    seen = visit(chromium, server, width=width, scheme=scheme)
    seen.scroll_through()
    assert seen.errors == []
    assert {re.split(r"://|/", url)[1] for url in seen.requests if not url.startswith(("data:", "blob:"))} == {f"127.0.0.1:{server.port}"}
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.locator(".figure .main-svg:first-of-type").count() == seen.page.locator(".figure").count() >= 11
    back = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) > 380) is (scheme == "light")
    seen.page.context.close()


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_no_document_breaks_the_page(chromium: Any, name: str) -> None:
    with DashboardServer(DOCUMENTS[name]()) as server:
        seen = visit(chromium, server)
        server.alert("<img src=x onerror=alert(1)>")
        seen.scroll_through()
        for fold in seen.page.locator("details").all():
            fold.evaluate("(one) => { one.open = true; }")
        seen.until("document.querySelectorAll('.alert').length === 1")
        assert seen.errors == []
        assert not NOT_NUMBERS.search(seen.text("body"))
        assert "tailwag" in seen.page.title()
        assert seen.page.locator("img, main script, iframe, svg a[*|href]").count() == 0
        assert seen.text(".alert .sentence") == "<img src=x onerror=alert(1)>"
        seen.page.context.close()


def test_the_answer_is_on_the_first_screen(live: Visit) -> None:
    for selector in ("#regime", "#headline", "#tiles", "#market-flows", "#own-flows", "#changes"):
        box = live.page.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 800, selector
    for selector in ("#live-name", "#live-detail", "#as-of"):
        assert live.text(selector), selector


def test_the_first_screen_of_a_phone_names_regime_gain_and_flip(chromium: Any, server: DashboardServer) -> None:
    seen = visit(chromium, server, width=390)
    for selector in ("#regime", "#headline", "#tiles .tile:nth-child(2)"):
        box = seen.page.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 800, selector
    seen.page.context.close()


def test_every_number_of_the_first_screen_is_the_documents(live: Visit, server: DashboardServer) -> None:
    """Read back from the page and compared with the document at the precision shown."""
    document = server.newest
    assert live.text("#spot") == "$91,630"
    flows = {row["spot_move_pct"]: row["buy_usd"] for row in document["flows"] if row["vol_move_volpt"] == 0 and row["hours"] == 0}
    shown = [re.split(r"\s*\n\s*", live.text(f"#market-flows li:nth-child({k + 1})")) for k in range(6)]
    for move, (_, side, usd, _) in zip((-5, -3, -1, 1, 3, 5), shown, strict=True):
        assert side.lower() == ("buy" if flows[move] > 0 else "sell")
        size = float(usd.strip("$kmbn")) * {"k": 1e3, "m": 1e6, "n": 1e9}[usd[-1]]
        assert size == pytest.approx(abs(flows[move]), rel=0.006)
    gains = [row["value"] for row in document["gain"]["by_rule"]]
    low, high = (float(part.replace("\u2212", "-")) for part in live.text("#tiles .tile:nth-child(1) .value").split(" to "))
    assert (low, high) == pytest.approx((min(gains), max(gains)), abs=0.005)
    flip = min((row["spot_usd"] for row in document["levels"]["flips"]), key=lambda level: abs(level - document["spot_usd"]))
    assert f"${flip:,.0f}" in live.text("#tiles .tile:nth-child(2) .value")


def test_a_new_measurement_arrives_without_reload(live: Visit, server: DashboardServer) -> None:
    document = sample_document(my_book=True)
    document["gain"].update(regime="runaway", value=1.4)
    live.page.evaluate("window.stayed = true")
    took = []
    for spot_usd in (99_997, 99_998, 99_999):  # a busy machine may be late once; a page that only asks is late twice
        document["spot_usd"] = float(spot_usd)
        start = time.monotonic()
        server.publish(document)
        live.until(f"document.querySelector('#spot').textContent === '${spot_usd:,}'")
        took.append(time.monotonic() - start)
    assert sorted(took)[1] < 3
    assert live.text("#regime") == "Runaway"
    assert "runaway" in live.text("#announcements").lower()
    assert live.page.evaluate("window.stayed") is True
    assert live.page.title().startswith("Runaway")


def test_a_stale_source_greys_its_numbers_and_says_since_when(live: Visit, server: DashboardServer) -> None:
    def colour() -> str:
        return str(live.page.evaluate("getComputedStyle(document.querySelector('#own-flows .usd')).color"))

    before = colour()
    server.reasons = ["silent for 12.0 s"]
    server.beat("stale", age_s=12.0)
    live.state("stale", seconds=3)
    assert live.text("#live-name") == "Stale"
    assert re.search(r"^as of \d+ \w+ \d\d 09:30:00 UTC, received \d+ s ago", live.text("#live-detail")), (
        "another day's market names its date"
    )
    assert "silent for 12.0 s" in live.text("#live-detail")
    assert "not live" in live.text("#stale-banner")
    assert colour() != before
    assert "grayscale" in live.page.evaluate("getComputedStyle(document.querySelector('#answers')).filter")
    server.beat("ok")
    live.state("live", seconds=3)
    assert colour() == before
    assert not live.page.locator("#stale-banner").is_visible()


def test_since_is_said_only_where_the_market_keeps_the_time_of_the_viewer(chromium: Any) -> None:
    now = datetime.now(UTC) - timedelta(seconds=12)
    with DashboardServer({**sample_document(), "as_of": now.strftime("%Y-%m-%dT%H:%M:%SZ")}) as server:
        seen = visit(chromium, server)
        server.beat("stale", age_s=12.0)
        seen.state("stale", seconds=3)
        assert f"since {now:%H:%M:%S} UTC, " in seen.text("#live-detail")
        seen.page.context.close()


@pytest.mark.parametrize(
    ("minutes", "told"), [(20, ", the first measurement, 20 min ago"), (60, ""), (95, ", 1.6 h ago"), (150, ", 2.5 h ago")]
)
def test_what_changed_names_the_distance_unless_it_is_about_an_hour(chromium: Any, minutes: int, told: str) -> None:
    document = sample_document()
    with DashboardServer(document, past_steps=0) as server:
        then = datetime.fromisoformat(document["as_of"]) - timedelta(minutes=minutes)
        server.past = [{**document, "as_of": then.strftime("%Y-%m-%dT%H:%M:%SZ")}]
        seen = visit(chromium, server)
        seen.until("document.querySelector('#changes-title').textContent.includes('UTC')")
        assert seen.text("#changes-title").casefold() == f"What changed since {then:%H:%M} UTC{told}".casefold()
        seen.page.context.close()


def test_a_market_masked_whole_is_unknown_and_says_so(chromium: Any) -> None:
    with DashboardServer(masked_document(), past_steps=0) as server:
        server.state = "degraded"
        seen = visit(chromium, server, state="degraded")
        assert (seen.text("#regime"), seen.text("#meaning")) == ("Unknown", "exposure could not be measured")
        assert "is masked (iv_nonpositive 100%)" in seen.text("#headline")
        assert [seen.text(f"#tiles .tile:nth-child({k}) .value") for k in (1, 2, 3, 4)] == ["n/a"] * 4
        assert "masked" in seen.text("#tiles .tile:nth-child(2)")
        assert "none" not in seen.text("#tiles").casefold()
        assert "draws" not in seen.text("#answers")
        assert set(seen.page.eval_on_selector_all("#market-flows .usd", "(all) => all.map((one) => one.textContent)")) == {"n/a"}
        assert "every option that holds open interest" in seen.text("#degraded-banner")
        assert not NOT_NUMBERS.search(seen.text("body"))
        assert seen.errors == []
        if os.environ.get("MASKED_SHOT"):
            seen.page.screenshot(path=os.environ["MASKED_SHOT"], full_page=False)
        seen.page.context.close()


@pytest.mark.parametrize(
    ("change", "meaning"),
    [
        (lambda one: one["exposure"].update(empty=True), "nobody holds anything here: there is nothing to hedge"),
        (lambda one: one["gain"].update(hedge_share=0.0), "nothing of the book is hedged: there is no loop"),
        (lambda one: [row.update(gex_usd_per_pct=-1e6) for row in one["gain"]["by_rule"]], "draws of one rule disagree on who is short"),
        (lambda one: None, "the rules that say who is short disagree on the sign"),
    ],
    ids=["empty", "unhedged", "draws", "rules"],
)
def test_an_open_sign_is_given_its_own_reason(chromium: Any, change: Any, meaning: str) -> None:
    document = sample_document()
    document["gain"]["regime"] = "undetermined"
    change(document)
    with DashboardServer(document, past_steps=0) as server:
        seen = visit(chromium, server)
        assert seen.text("#meaning") == meaning
        seen.page.context.close()


def test_a_server_that_falls_silent_is_not_believed_for_longer_than_it_promised(chromium: Any, server: DashboardServer) -> None:
    """No frame says so, the connection stays open: the page's own clock notices."""
    server.max_age_s = 0.5
    seen = visit(chromium, server, state="")
    seen.state("stale", seconds=6)
    assert "at most" in seen.text("#live-detail")
    server.publish()
    seen.state("live", seconds=3)
    seen.page.context.close()


def test_a_state_that_nobody_vouches_for_is_not_live(chromium: Any, server: DashboardServer) -> None:
    server.state = "splendid"
    seen = visit(chromium, server, state="stale")
    assert "does not say" in seen.text("#live-detail")
    seen.page.context.close()


def test_an_answer_that_was_asked_for_before_the_source_went_stale_does_not_make_it_live(chromium: Any, server: DashboardServer) -> None:
    seen = visit(chromium, server, state="")
    held: list[Any] = []
    seen.state("live")
    seen.page.route("**/measure/latest", lambda route: held.append(route.fetch()) or held.append(route))
    server.publish()
    for _ in range(100):
        if len(held) == 2:
            break
        seen.page.wait_for_timeout(20)
    server.beat("stale", age_s=12.0)
    seen.state("stale", seconds=3)
    held[1].fulfill(response=held[0])
    seen.until("document.querySelector('#as-of').textContent.includes('09:35:00')")
    seen.page.wait_for_timeout(300)
    assert seen.page.evaluate(LIVE) == "stale"
    seen.page.context.close()


def test_degraded_is_said_with_its_share(live: Visit, server: DashboardServer) -> None:
    server.reasons = ["3 options with 2.10% of open interest have gone silent"]
    server.beat("degraded")
    live.state("degraded", seconds=3)
    assert "2.10%" in live.text("#live-detail")


def test_a_lost_connection_is_said_and_found_again_without_reload(live: Visit, server: DashboardServer) -> None:
    live.page.evaluate("window.stayed = true")
    server.hang_up(for_good=True)
    live.state("lost", seconds=10)
    assert "not live" in live.text("#stale-banner")
    asked = len(server.asked)
    server.come_back()
    live.state("live", seconds=25)
    # nothing held is taken for complete after a gap
    needed = {"/api/v1/measure/latest", "/api/v1/history", "/api/v1/alerts"}
    for _ in range(200):
        if needed <= {path.partition("?")[0] for path in server.asked[asked:]}:
            break
        live.page.wait_for_timeout(40)
    assert needed <= {path.partition("?")[0] for path in server.asked[asked:]}
    assert live.page.evaluate("window.stayed") is True


def test_a_missed_frame_makes_the_page_ask(live: Visit, server: DashboardServer) -> None:
    live.page.wait_for_timeout(5_200)
    asked = len(server.asked)
    server.publish(step=5)
    live.until("document.querySelector('#as-of').textContent.includes('09:35:00')")
    for _ in range(50):
        if any("/history" in path for path in server.asked[asked:]):
            break
        live.page.wait_for_timeout(40)
    assert any("/history" in path for path in server.asked[asked:])


def test_a_measurement_that_cannot_be_fetched_makes_the_page_stale(live: Visit, server: DashboardServer) -> None:
    server.refused["/api/v1/measure/latest"] = (500, "internal error")
    server.publish()
    live.state("stale", seconds=10)
    assert "could not be fetched: internal error" in live.text("#live-detail")
    del server.refused["/api/v1/measure/latest"]
    server.publish()
    live.state("live", seconds=5)


def test_without_a_websocket_the_page_asks_instead(chromium: Any, server: DashboardServer) -> None:
    server.refused["/api/v1/stream"] = (403, "no streams here")
    seen = visit(chromium, server)
    document = sample_document(my_book=True)
    document["spot_usd"] = 95_000.0
    server.publish(document)
    seen.until("document.querySelector('#spot').textContent === '$95,000'", seconds=12)
    seen.page.context.close()


def test_the_slider_shows_any_past_measurement_by_keyboard(live: Visit, server: DashboardServer) -> None:
    live.until("!document.querySelector('#past-slider').disabled")
    live.page.locator("#past-slider").focus()
    for _ in range(6):
        live.page.keyboard.press("ArrowLeft")
    live.until("document.body.dataset.past === 'yes'")
    assert live.text("#live-name") == "Past"
    assert "2 Mar 26 09:00:00 UTC" in live.text("#past-banner")
    assert live.text("#as-of") == "2 Mar 26 09:00:00 UTC"
    assert "09:00:00" in live.page.get_attribute("#past-slider", "aria-valuetext")
    assert live.page.evaluate("document.activeElement.id") == "past-slider"
    # what comes meanwhile does not take the past away
    server.publish()
    live.page.wait_for_timeout(600)
    assert live.text("#as-of") == "2 Mar 26 09:00:00 UTC"
    live.page.keyboard.press("End")
    live.until("document.body.dataset.past === 'no'")
    assert live.text("#as-of") == "2 Mar 26 09:35:00 UTC"
    assert live.text("#live-name") == "Live"


def test_the_changes_are_against_an_hour_ago(live: Visit, server: DashboardServer) -> None:
    live.until("document.querySelectorAll('#changes-list dt').length === 5")
    assert "08:30 UTC" in live.text("#changes-title")
    old = next(one for one in server.past if one["as_of"] == "2026-03-02T08:30:00Z")
    moved = 100 * (server.newest["spot_usd"] / old["spot_usd"] - 1)
    assert f"+{moved:.1f} %" in live.text("#changes-list")


def test_a_market_younger_than_an_hour_is_compared_with_its_first_measurement(chromium: Any) -> None:
    with DashboardServer(sample_document(), past_steps=4) as server:
        seen = visit(chromium, server)
        seen.until("document.querySelector('#changes-title').innerText.includes('09:10 UTC')")
        seen.page.context.close()


def test_a_field_that_is_not_recorded_is_named(chromium: Any, server: DashboardServer) -> None:
    server.refused["/api/v1/history"] = (422, "unknown field")
    seen = visit(chromium, server)
    seen.page.locator("#history").scroll_into_view_if_needed()
    seen.until("document.querySelector('#history').closest('.card').innerText.includes('realised vol: not recorded here')")
    seen.page.context.close()


def test_alerts_arrive_newest_first_and_are_announced(live: Visit, server: DashboardServer) -> None:
    server.alert("Gain rose above 0.5.")
    server.alert("Data are stale.", "critical")
    live.until("document.querySelectorAll('.alert').length === 2")
    assert "Data are stale." in live.text(".alert")
    assert "Data are stale." in live.text("#announcements")


def test_two_messages_of_one_moment_are_both_announced(live: Visit, server: DashboardServer) -> None:
    server.alert("Data are stale.", "critical", state="stale")
    live.state("stale")
    assert "Data are stale." in live.text("#announcements")
    assert "Stale: " in live.text("#announcements")


def test_whatever_is_said_of_the_source_moves_nothing(live: Visit, server: DashboardServer) -> None:
    """With a choice of sources beside it, and more to say than there is room for: all of it is there for who asks."""
    places = """['main', '.bar .stamp', '#spot'].flatMap((one) => { const {x, y} = document.querySelector(one).getBoundingClientRect(); return [x, y]; })"""
    main = "document.querySelector('main').getBoundingClientRect().y"
    alone = live.page.evaluate(main)
    live.page.evaluate(
        "document.querySelector('#source-choice').append(new Option('x'.repeat(40))); document.querySelector('#source-label').hidden = false"
    )
    assert live.page.evaluate(main) == alone
    before = live.page.evaluate(places)
    server.reasons = [
        "the venue answers nothing that could be read, and has not done so for a long time; it is asked again" for _ in range(3)
    ]
    server.beat("stale", age_s=12.0)
    live.state("stale")
    assert live.page.evaluate(places) == before
    assert live.page.get_attribute("#live-detail", "title") == live.page.evaluate("document.querySelector('#live-detail').textContent")


def test_a_server_that_wants_a_token_is_given_one_and_no_address_holds_it(chromium: Any, server: DashboardServer) -> None:
    server.token = "canary-0123456789abcdef"
    seen = visit(chromium, server, state="")
    seen.until("!document.querySelector('#token-form').hidden")
    seen.page.fill("#token", server.token)
    seen.page.keyboard.press("Enter")
    seen.state("live")
    assert not any("canary" in url for url in seen.requests)
    assert "canary" not in seen.page.content()
    for place in ("localStorage", "sessionStorage", "document.cookie"):
        assert "canary" not in str(seen.page.evaluate(f"JSON.stringify({place})"))
    seen.page.context.close()


def test_tab_reaches_every_control_in_reading_order_with_a_visible_focus(live: Visit) -> None:
    live.until("!document.querySelector('#past-slider').disabled")
    live.scroll_through()
    live.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    places = []
    for _ in range(60):
        live.page.keyboard.press("Tab")
        script = """() => { const here = document.activeElement; const box = here.getBoundingClientRect(); const style = getComputedStyle(here);
          return [here.tagName + '.' + (here.id || here.className), box.top + scrollY, style.outlineStyle !== 'none' || style.boxShadow !== 'none', here.tabIndex]; }"""
        name, top, outlined, index = live.page.evaluate(script)
        if name.startswith("BODY"):
            break
        places.append((name, top))
        assert outlined, f"{name} shows no focus"
        assert index == 0
    names = [name for name, _ in places]
    assert names[0] == "A.skip"
    assert "INPUT.past-slider" in names
    assert "SELECT.smile-choice" in names
    assert names.count("SUMMARY.") >= 11
    tops = [top for _, top in places[1:]]
    assert all(later >= earlier - 60 for earlier, later in pairwise(tops))


def test_a_screen_reader_finds_landmarks_headings_names_and_tables(live: Visit) -> None:
    live.scroll_through()
    for selector in ("header", "main", "footer", "[aria-live=polite]", "html[lang=en]"):
        assert live.page.locator(selector).count() >= 1, selector
    script = """() => {
      const wrong = [];
      for (const one of document.querySelectorAll('input, select, button')) {
        const name = one.getAttribute('aria-label') || one.textContent || [...(one.labels || [])].map((label) => label.innerText).join('');
        if (!name.trim()) wrong.push(one.outerHTML);
      }
      for (const one of document.querySelectorAll('.figure')) {
        if (!one.getAttribute('aria-label') || one.getAttribute('role') !== 'img') wrong.push(one.id);
        if (!one.closest('.block').querySelector('details')) wrong.push(`${one.id} has no table`);
      }
      for (const one of document.querySelectorAll('[aria-labelledby]')) if (!document.getElementById(one.getAttribute('aria-labelledby'))) wrong.push(one.outerHTML);
      const ids = [...document.querySelectorAll('main [id]')].filter((one) => !one.closest('.figure') || one.matches('.figure')).map((one) => one.id);
      wrong.push(...ids.filter((id, rank) => ids.indexOf(id) !== rank));
      const levels = [...document.querySelectorAll('h1, h2, h3')].filter((one) => one.offsetParent).map((one) => Number(one.tagName[1]));
      levels.forEach((level, rank) => { if (rank && level > levels[rank - 1] + 1) wrong.push(`heading ${rank} jumps`); });
      if (levels.filter((level) => level === 1).length !== 1) wrong.push('not one h1');
      return wrong;
    }"""
    assert live.page.evaluate(script) == []
    live.page.locator("#by-strike").locator("xpath=..").locator("summary").click()
    live.until("document.querySelector('#by-strike').parentElement.querySelectorAll('tbody tr').length > 20")


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255).map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, rank) => sum + part * [0.2126, 0.7152, 0.0722][rank], 0);
  const backOf = (one) => { for (let here = one; here; here = here.parentElement) { const back = parse(getComputedStyle(here).backgroundColor); if (back.length === 3 || back[3] === 1) return back; } return [255, 255, 255]; };
  const wrong = new Set();
  for (const one of document.querySelectorAll('body *')) {
    if (one.closest('.figure, .unseen, .skip') || !one.offsetParent || ![...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
    const [fore, back] = [light(parse(getComputedStyle(one).color)), light(backOf(one))];
    const ratio = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
    if (ratio < 4.5) wrong.add(`${one.tagName}.${one.className} ${ratio.toFixed(2)}`);
  }
  return [...wrong];
}"""


@pytest.mark.parametrize("state", ["ok", "stale", "degraded"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(chromium: Any, server: DashboardServer, scheme: str, state: str) -> None:
    """A contrast of 4.5 to 1 at least, greyed or not."""
    server.state = state
    server.raised = [{"at": "2026-03-02T09:30:00Z", "key": s, "severity": s, "sentence": s} for s in ("info", "warning", "critical")]
    seen = visit(chromium, server, scheme=scheme, state="live" if state == "ok" else state)
    assert seen.page.evaluate(CONTRAST) == []
    seen.page.context.close()


def test_the_answer_does_not_wait_for_the_drawing_library(chromium: Any, server: DashboardServer) -> None:
    """The library may never come: the answer and the tables stand all the same."""
    server.refused["/static/plotly.min.js"] = (404, "none")
    seen = visit(chromium, server)
    assert seen.text("#regime")
    seen.until("document.querySelector('#history').innerText.includes('could not be drawn')")
    seen.page.context.close()
