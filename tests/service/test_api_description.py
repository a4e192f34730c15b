"""The description of the API is whole and true: no answer holds a key that it does not name, and no answer is without a type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from tests.service.live_service import NOON_NS, OPTIONS, Live, live_service, market

import tailwag as tw
from tailwag.sources.demo_moving import moving_demo

MIXTURE = tw.Mixture(((tw.LongCallsShortPuts(), 0.6), (tw.ShortAll(), 0.4)), draws=20)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_service(tmp_path_factory.mktemp("described"), first=2) as running:
        running.board.alert("one", {"at": "2026-09-15T14:30:00Z", "key": "flip", "severity": "warning", "sentence": "the flip is near"})
        yield running


@pytest.fixture(scope="module")
def description(live: Live) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{live.address}/openapi.json", verify=False).json()
    return found


def closed(node: Any) -> Any:
    """The same schema with every record closed: a key that is not named is an error."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: closed(value) for key, value in node.items()}
    return {**made, "additionalProperties": False} if "properties" in node and node.get("type") == "object" else made


def faults(description: dict[str, Any], name: str, document: Any) -> list[str]:
    schema = {"$ref": f"#/components/schemas/{name}", "components": closed(description["components"])}
    found = jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(orjson.loads(orjson.dumps(document)))
    return [f"{'.'.join(map(str, fault.instance_path))}: {str(fault.message)[-160:]}" for fault in found]


ASKED = [
    ("GET", "/healthz", "Health"),
    ("GET", "/readyz", "Health"),
    ("GET", "/api/v1/sources", "Sources"),
    ("GET", "/api/v1/alerts", "Alerts"),
    ("GET", "/api/v1/measure/latest", "LatestMeasurement"),
    ("GET", "/api/v1/measure?at=2026-09-15T14:30:00Z", "Measurement"),
    ("GET", "/api/v1/measure", "Measurement"),
    ("GET", "/api/v1/history?field=gain.value", "History"),
    ("GET", "/api/v1/history?field=gain.regime", "History"),
    ("GET", "/api/v1/whatif?rule=short-all&hedge_share=0.5", "WhatIfMeasurement"),
    ("POST", "/api/v1/book", "BookMeasurement"),
    ("GET", "/api/v1/history?field=nothing", "Error"),
    ("GET", "/nowhere", "Error"),
]


@pytest.mark.parametrize(("method", "path", "name"), ASKED)
def test_an_answer_is_of_the_type_that_is_promised_and_holds_nothing_else(
    live: Live, description: dict[str, Any], method: str, path: str, name: str
) -> None:
    body = b"instrument,contracts\nBTC-PERPETUAL,-1000\n" if method == "POST" else None
    answer = httpx.request(method, f"{live.address}{path}", content=body, verify=False, timeout=20.0)
    assert faults(description, name, answer.json()) == []
    operation = description["paths"].get(path.partition("?")[0], {}).get(method.lower())
    if operation is not None:
        promised = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        assert promised == {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize("kind", ["measure", "heartbeat", "alert"])
def test_a_frame_is_of_its_type(live: Live, description: dict[str, Any], kind: str) -> None:
    heard: list[bytes] = []
    stop = live.board.listen(lambda told, _source, text: heard.append(text) if told == kind else None)
    publication, health = live.board.sources()["one"]
    assert publication is not None
    live.board.publish(publication, health)
    live.board.beat("one", health)
    live.board.alert("one", {"at": "2026-09-15T14:30:00Z", "key": "flip", "severity": "warning", "sentence": "the flip is near"})
    stop()
    assert [faults(description, "Frame", orjson.loads(text)) for text in heard] == [[]]


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    whole = moving_demo(NOON_NS, seed=7)
    own = "instrument,contracts\nBTC-25SEP26-100000-C,-250\nBTC-25SEP26-1-C,5\nBTC-PERPETUAL,100\n"
    traded = replace(OPTIONS, own_book=own, trades=("-5 BTC-25SEP26-100000-C",), strike_limit_usd=1e6)
    yield "own book and a trade", tw.measure(whole, traded).document()
    yield "a mixture", tw.measure(market(), replace(OPTIONS, rules=(MIXTURE, tw.LongAll()))).document()
    yield "no depth", tw.measure(market().with_parts(books=()), OPTIONS).document()
    empty = market()
    yield "no option", tw.measure(empty.with_parts(chain=empty.chain.select([])), OPTIONS).document()


@pytest.mark.parametrize("name", ["own book and a trade", "a mixture", "no depth", "no option"])
def test_every_kind_of_measurement_is_of_its_type(description: dict[str, Any], name: str) -> None:
    document = dict(documents())[name]
    beside = {"seq": 1, "monitor_source": "one", "code_hash": "x"}
    assert faults(description, "Measurement", {**document, **beside}) == []
    assert faults(description, "Measurement", {**document, **beside, "gain": {**document["gain"], "surprise": 1}}) != []


def test_every_answer_of_every_route_has_a_type(description: dict[str, Any]) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                schema = answer.get("content", {}).get("application/json", {}).get("schema")
                described_itself = path == "/openapi.json" and status == "200"
                assert schema is None or "$ref" in schema or described_itself, (path, method, status)


WRONG: dict[int, dict[str, Any]] = {
    403: {"headers": {"host": "evil.example"}},
    405: {"method": "DELETE"},
    413: {"content": b"x" * 600_000, "headers": {"content-type": "text/csv"}},
    414: {"params": {"x": "a" * 4_000}},
    415: {"content": b"x", "headers": {"content-type": "text/csv", "content-encoding": "gzip"}},
    422: {"params": {"never": "1"}},
    431: {"headers": {"x": "a" * 20_000}},
}
"""Questions that routes of the API turn away, by the status they get."""


def test_what_turns_a_question_away_is_described(live: Live, description: dict[str, Any]) -> None:
    seen: dict[int, int] = {}
    with httpx.Client(verify=False, base_url=live.address, timeout=20.0) as client:
        for path, methods in description["paths"].items():
            for method, told in methods.items():
                for wrong in WRONG.values():
                    asked = {"method": method, "url": path.replace("{name}", "style.css"), **wrong}
                    if path == "/api/v1/stream":
                        continue
                    status = client.request(**asked).status_code
                    seen[status] = seen.get(status, 0) + 1
                    assert str(status) in told["responses"], (method, path, status)
    assert set(seen) >= set(WRONG)
    assert min(seen[403], seen[405], 2 * seen[422]) >= 8, seen


def test_names_are_good_for_a_client_generator_and_examples_are_given(description: dict[str, Any]) -> None:
    operations = [operation for methods in description["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
    parameters = [parameter for operation in operations for parameter in operation.get("parameters", []) if parameter["name"] != "source"]
    assert [parameter["name"] for parameter in parameters if "example" not in parameter] == []
    used = {part for part in orjson.dumps(description).decode().split('"') if part.startswith("#/components/schemas/")}
    assert {reference.rpartition("/")[2] for reference in used} <= set(description["components"]["schemas"])


def test_every_example_is_accepted(live: Live, description: dict[str, Any]) -> None:
    """Each beside what is required; all together they may contradict each other."""
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            parameters = [one for one in operation.get("parameters", []) if "example" in one and one["in"] == "query"]
            required = {one["name"]: one["example"] for one in parameters if one["required"]}
            kinds: list[dict[str, Any]] = list(operation.get("requestBody", {}).get("content", {}).values())
            body = kinds[0].get("example") if kinds else None
            sent: dict[str, Any] = {"content": body} if isinstance(body, str) else {"json": body} if body else {}
            for params in [required, *({**required, one["name"]: one["example"]} for one in parameters)]:
                answer = httpx.request(
                    method, live.address + path.replace("{name}", "style.css"), params=params, verify=False, timeout=20.0, **sent
                )
                assert answer.status_code in ((200, 404) if "at" in params else (200,)), (path, params, answer.text)


def test_a_source_is_one_of_those_that_are_watched(description: dict[str, Any], tmp_path: Path) -> None:
    (source,) = description["paths"]["/api/v1/measure/latest"]["get"]["parameters"]
    assert source["schema"] == {"type": "string", "enum": ["one"]}
