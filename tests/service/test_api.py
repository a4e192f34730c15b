"""The API on a real port: each answer is what the library gives for the same snapshot, each error one sentence of JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from tests.service.live_service import OPTIONS, Live, live_service, market

import tailwag as tw
from tailwag.experiments.own_blocks import my_book_block
from tailwag.positioning import parse_rule
from tailwag.service.series import value_at

SNAPSHOTS = 5
LAST = float(SNAPSHOTS - 1)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_service(tmp_path_factory.mktemp("store"), first=SNAPSHOTS) as running:
        yield running


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, base_url=live.address, timeout=20.0) as made:
        yield made


def strict(answer: httpx.Response) -> Any:
    """The JSON of an answer, refused where it holds what JSON cannot."""

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} in an answer")

    return json.loads(answer.content, parse_constant=refuse)


def plain(document: dict[str, Any]) -> Any:
    return orjson.loads(orjson.dumps(document))


def without_envelope(answer: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return {key: answer[key] for key in document}


def test_latest_is_the_library_s_document_with_how_far_it_may_be_trusted(live: Live, client: httpx.Client) -> None:
    answer = client.get("/api/v1/measure/latest")
    found, expected = strict(answer), plain(tw.measure(market(LAST), OPTIONS).document())
    assert answer.status_code == 200
    assert without_envelope(found, expected) == expected
    assert {"seq", "max_age_s", "source_state", "age_s", "quarantined", "code_hash", "reasons", "monitor_source"} <= set(found)
    assert found["seq"] == SNAPSHOTS
    assert found["schema"] == "tailwag.measure/1"


@pytest.mark.parametrize("second", [0.0, 1.0, 2.5, LAST])
def test_the_past_is_the_last_snapshot_at_or_before(client: httpx.Client, second: float) -> None:
    at = f"2026-09-15T14:30:{second:09.6f}Z"
    found = strict(client.get("/api/v1/measure", params={"at": at}))
    expected = plain(tw.measure(market(float(int(second))), OPTIONS).document())
    assert without_envelope(found, expected)["gain"] == expected["gain"]
    assert found["as_of"] == expected["as_of"]
    assert found["seq"] == int(second) + 1


def test_times_in_other_offsets_and_unescaped_plus_signs_are_understood(live: Live, client: httpx.Client) -> None:
    one = strict(client.get("/api/v1/measure", params={"at": "2026-09-15T16:30:01+02:00"}))
    other = strict(httpx.get(f"{live.address}/api/v1/measure?at=2026-09-15T16:30:01+02:00", verify=False))
    assert one["as_of"] == other["as_of"] == "2026-09-15T14:30:01Z"


def test_before_the_first_snapshot_there_is_nothing(client: httpx.Client) -> None:
    answer = client.get("/api/v1/measure", params={"at": "2026-09-15T14:29:59Z"})
    assert answer.status_code == 404
    assert "no snapshot at or before 2026-09-15T14:29:59Z" in strict(answer)["error"]


@pytest.mark.parametrize(
    "field",
    [
        "gain.value",
        "spot_usd",
        "exposure.gex_usd_per_pct",
        "chain.instruments",
        "gain.regime",
        "exposure.empty",
        "gain.by_rule.1.value",
        "gain.low",
    ],
)
def test_history_equals_measuring_again(client: httpx.Client, field: str) -> None:
    found = strict(client.get("/api/v1/history", params={"field": field}))
    expected = [value_at(tw.measure(market(float(second)), OPTIONS).document(), field) for second in range(SNAPSHOTS)]
    assert [point["value"] for point in found["points"]] == expected
    assert [point["as_of"] for point in found["points"]] == [f"2026-09-15T14:30:0{second}Z" for second in range(SNAPSHOTS)]
    assert (found["field"], found["next"]) == (field, None)


def test_history_of_a_field_deep_in_a_list_is_measured_again_page_by_page(client: httpx.Client) -> None:
    field = "exposure.by_strike.3.call_gex_usd_per_pct"
    found = strict(client.get("/api/v1/history", params={"field": field, "limit": 2, "from": "2026-09-15T14:30:01Z"}))
    expected = [value_at(tw.measure(market(second), OPTIONS).document(), field) for second in (1.0, 2.0)]
    assert [point["value"] for point in found["points"]] == expected
    assert found["next"] == "2026-09-15T14:30:03Z"


def test_history_in_pages_gives_each_point_once(client: httpx.Client) -> None:
    start, seen = "2026-09-15T14:30:00Z", []
    while start is not None:
        page = strict(
            client.get("/api/v1/history", params={"field": "gain.value", "from": start, "to": "2026-09-15T14:30:03Z", "limit": 2})
        )
        seen += [point["as_of"][-3:-1] for point in page["points"]]
        start = page["next"]
    assert seen == ["00", "01", "02", "03"]


def test_what_if_is_the_library_under_those_assumptions(client: httpx.Client) -> None:
    options = replace(
        OPTIONS,
        rules=(parse_rule("short-all"), parse_rule("customers-buy:0.7")),
        depth_usd_per_pct=3e7,
        liquidity="given",
        move_pct=2.0,
        hedge_share=0.4,
    )
    expected = plain(tw.measure(market(LAST), options).document())
    asked = {"rule": ["short-all", "customers-buy:0.7"], "depth_usd_per_pct": 3e7, "move_pct": 2.0, "hedge_share": 0.4}
    by_get, by_post = (strict(client.get("/api/v1/whatif", params=asked)), strict(client.post("/api/v1/whatif", json=asked)))
    for found in (by_get, by_post):
        assert without_envelope(found, expected) == expected
        assert found["what_if"]["hedge_share"] == 0.4
    assert expected["gain"]["law"] == "given"
    past = strict(client.get("/api/v1/whatif", params={"rule": "long-all", "at": "2026-09-15T14:30:01Z"}))
    assert (past["as_of"], past["seq"]) == ("2026-09-15T14:30:01Z", 2)
    assert "source_state" not in past, "the past is never live"


def test_an_own_book_is_priced_as_by_the_library(client: httpx.Client) -> None:
    snapshot = market(LAST)
    text = f"instrument,contracts\n{snapshot.chain.instrument[40]},-120\n{snapshot.chain.instrument[60]},75\nBTC-PERPETUAL,-1000\n"
    expected = plain(my_book_block(tw.measure(snapshot, replace(OPTIONS, own_book=text))))
    answer = client.post("/api/v1/book", content=text, headers={"content-type": "text/csv"})
    assert strict(answer)["my_book"] == expected
    assert expected["greeks"]["gex_usd_per_pct"] != 0.0
    kept = client.get("/api/v1/measure/latest").json()["my_book"]
    assert kept is None, "nothing of a desk's book is kept"


def test_sources_alerts_health_metrics_description(client: httpx.Client) -> None:
    assert strict(client.get("/healthz"))["status"] == "ok"
    (source,) = strict(client.get("/api/v1/sources"))["sources"]
    assert (source["source"], source["seq"]) == ("one", SNAPSHOTS)
    assert strict(client.get("/api/v1/alerts")) == {"alerts": []}
    assert 'tailwag_measurements_total{source="one"} 5.0' in client.get("/metrics").text
    description = strict(client.get("/openapi.json"))
    assert {
        "/healthz",
        "/metrics",
        "/api/v1/measure/latest",
        "/api/v1/measure",
        "/api/v1/history",
        "/api/v1/whatif",
        "/api/v1/book",
    } <= set(description["paths"])


def test_the_page_and_its_files_are_served_with_a_policy(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    again = client.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plotly = client.get("/static/plotly.min.js", headers={"accept-encoding": "gzip"})
    assert (plotly.status_code, plotly.headers["content-encoding"]) == (200, "gzip")
    assert len(plotly.content) > 1_000_000
    for name in ("../api.py", "..%2fapi.py", "%2e%2e/auth.py", "/etc/passwd", "nothing.js", "__init__.py", ".git/config", "a\\b.js"):
        assert client.get(f"/static/{name}").status_code == 404, name


def test_large_answers_are_packed_for_those_who_read_that(live: Live) -> None:
    with httpx.stream("GET", f"{live.address}/api/v1/measure/latest", verify=False, headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(raw))["seq"] == SNAPSHOTS
    unpacked = httpx.get(f"{live.address}/api/v1/measure/latest", verify=False, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in unpacked.headers


REFUSED = [
    ("GET", "/api/v1/measure/latest?source=nobody", 422, "unknown source"),
    ("GET", "/api/v1/measure/latest?sorce=one", 422, "unknown parameter 'sorce'"),
    ("GET", "/api/v1/measure?at=2026-09-15T14:30:00", 422, "no offset"),
    ("GET", "/api/v1/measure?at=2026-09-15T14:30:00Z&at=2026-09-15T14:30:01Z", 422, "given twice"),
    ("GET", "/api/v1/measure?at=yesterday", 422, "expected a time"),
    ("GET", "/api/v1/measure?at=0", 422, "expected a time"),
    ("GET", "/api/v1/history", 422, "field"),
    ("GET", "/api/v1/history?field=gain.valu", 422, "no field 'gain.valu'"),
    ("GET", "/api/v1/history?field=gain", 422, "not one value"),
    ("GET", "/api/v1/history?field=gain.by_rule.99.value", 422, "no field"),
    ("GET", "/api/v1/history?field=__class__.x", 422, "no field"),
    ("GET", "/api/v1/history?field=gain.value&limit=1000000000", 422, "limit"),
    ("GET", "/api/v1/history?field=gain.value&limit=-1", 422, "limit"),
    ("GET", "/api/v1/history?field=gain.value&from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "from lies after to"),
    ("GET", "/api/v1/whatif?rule=nonsense", 422, "is unknown"),
    ("GET", "/api/v1/whatif?rule=flow:/etc/passwd", 422, "is unknown"),
    ("GET", "/api/v1/whatif?rule=positions:/etc/passwd", 422, "is unknown"),
    ("GET", "/api/v1/whatif?depth_usd_per_pct=nan", 422, "depth_usd_per_pct"),
    ("GET", "/api/v1/whatif?depth_usd_per_pct=-1", 422, "depth_usd_per_pct"),
    ("GET", "/api/v1/whatif?move_pct=1e308", 422, "move_pct"),
    ("GET", "/api/v1/whatif?hedge_share=2", 422, "hedge_share"),
    ("GET", "/api/v1/whatif?dynamics=ssr:x", 422, ""),
    ("GET", "/nowhere", 404, ""),
    ("DELETE", "/api/v1/book", 405, "not allowed"),
    ("POST", "/api/v1/measure/latest", 405, ""),
    ("GET", "/api/v1/book", 405, ""),
    ("TRACE", "/", 405, ""),
]


@pytest.mark.parametrize(("method", "path", "status", "words"), REFUSED)
def test_what_cannot_be_used_is_refused_in_one_sentence(client: httpx.Client, method: str, path: str, status: int, words: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status, answer.text
    sentence = strict(answer)["error"]
    assert words in sentence
    assert len(sentence) < 400
    assert not any(sign in sentence for sign in ("Traceback", 'File "', "site-packages", "/tmp/"))


def test_an_error_of_ours_is_one_sentence_too(live: Live, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(live.service.metrics.__class__, "text", broken)
    answer = client.get("/metrics")
    assert (answer.status_code, "RuntimeError" in strict(answer)["error"]) == (500, True)
    assert "secret internals" not in answer.text
    assert "secret internals" not in live.log.getvalue()


def test_only_documented_statuses_come(live: Live, client: httpx.Client) -> None:
    paths = strict(client.get("/openapi.json"))["paths"]
    for method, path, status, _ in REFUSED:
        route = paths.get(path.partition("?")[0], {}).get(method.lower())
        if route is not None:
            assert str(status) in route["responses"], (method, path)


def test_a_damaged_past_is_told_without_naming_folders(tmp_path: Path) -> None:
    with live_service(tmp_path, first=2) as here:
        segment = next(tmp_path.glob("segment-*.tws"))
        data = bytearray(segment.read_bytes())
        place = data.find(b"PAR1", 300) + 200
        data[place] ^= 0xFF
        segment.write_bytes(data)
        answer = httpx.get(f"{here.address}/api/v1/measure", verify=False, params={"at": "2026-09-15T14:30:00Z"})
        assert answer.status_code in (404, 503)
        assert str(tmp_path) not in answer.text


def test_realised_vol_is_annualised_over_a_day() -> None:
    from tailwag.service.field_history import realised_vols

    minute = 60 * 10**9
    rng = np.random.Generator(np.random.Philox(3))
    steps = 3 * 1440
    spot = 90_000.0 * np.exp(np.cumsum(0.5 * np.sqrt(1.0 / (365 * 1440)) * rng.standard_normal(steps)))
    vols = realised_vols(np.arange(steps, dtype=np.int64) * minute, spot)
    assert vols[30] is None
    day = np.diff(np.log(spot[-1441:]))
    assert vols[-1] == pytest.approx(np.sqrt((day**2).sum() * 365), rel=1e-9)
    assert abs(vols[-1] / 0.5 - 1.0) < 0.08


def test_the_documentation_names_every_route_and_every_key_of_a_frame(live: Live) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    for route in live.app.router.routes:
        assert route.path.removesuffix("{name:path}") in text, route.path
    for key in orjson.loads(live.board.first_frame("one")):
        assert f"`{key}`" in text or f'"{key}"' in text, key
