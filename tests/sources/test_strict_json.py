"""Strict JSON: whatever JSON does not allow, or would lose, is refused with its place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from tests.sources.deribit_replies import reply, summaries

from tailwag.errors import FileFormatError
from tailwag.sources.opening import RawFile
from tailwag.sources.strict_json import parse_json


def _raw(data: bytes) -> RawFile:
    return RawFile("chain.json", data, "")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param(b'{"a":\n NaN}', "2:", id="item-37-nan"),
        pytest.param(b'{"a": Infinity}', "1:7", id="item-37-infinity"),
        pytest.param(b'{"a": -Infinity}', "1:", id="item-37-minus-infinity"),
        pytest.param(b'{"a": 1e999}', "1:", id="item-37-1e999"),
        pytest.param(b'{"a": -1e999}', "1:", id="item-37-minus-1e999"),
        pytest.param(b'{"a":\n  9223372036854775808}', "2:3", id="item-37-two-to-the-63"),
        pytest.param(b'{"a": -9223372036854775809}', "1:7", id="item-37-below-minus-two-to-the-63"),
        pytest.param(b'{"a": 1' + b"0" * 5_000 + b"}", "1:", id="item-37-five-thousand-digits"),
        pytest.param(b'{"a": 1,\n "b": 2, "a": 3}', "2:10", id="item-37-key-twice"),
        pytest.param(b'{"x": {"a": 1, "a": 1}}', "1:16", id="item-37-key-twice-inside"),
        pytest.param(b'[{"a": 1}, {"a": 1}, {"a": 1, "a": 2}]', "", id="item-37-key-twice-among-many"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "1:", id="item-37-depth-1e5"),
        pytest.param(b'{"a":' * 1_000 + b"1" + b"}" * 1_000, "1:1", id="item-37-depth-1000"),
        pytest.param(b'{"a": 1', "1:", id="cut-off"),
        pytest.param(b'{"a": 1}}', "1:9", id="rubbish-after"),
        pytest.param(b'{"a": 1,}', "1:", id="comma-before-end"),
        pytest.param(b"{'a': 1}", "1:2", id="single-quotes"),
        pytest.param(b'{"a": 01}', "1:", id="leading-zero"),
        pytest.param(b'{"a": "\xff"}', "1:", id="not-utf-8"),
        pytest.param(b'{"a": "\\ud800"}', "1:", id="half-a-surrogate"),
        pytest.param(b'{"a": "\x01"}', "1:", id="control-character"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "1:1", id="byte-order-mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), "1:1", id="utf-16"),
        pytest.param(b"", "1:1", id="empty"),
    ],
)
def test_item_37_what_is_no_strict_json_is_refused_with_its_place(data: bytes, place: str) -> None:
    with pytest.raises(FileFormatError) as refusal:
        parse_json(_raw(data))
    said = str(refusal.value)
    assert said.startswith(f"chain.json:{place}")
    assert len(said) < 300


def test_what_json_allows_is_read() -> None:
    value = {"a": [1, -2.5, 1e-300, 9_223_372_036_854_775_807, -9_223_372_036_854_775_808, None, True, "\u00e9"], "b": {}}
    assert parse_json(_raw(json.dumps(value).encode())) == value


def test_strictness_costs_little_beside_plain_json() -> None:
    """A ratio within one run, never a time: twice the checks for about the price of the standard library's parser."""
    data = json.dumps(reply(summaries() * 60)).encode()
    assert len(data) > 1_200_000
    strict, plain = (_least_seconds(parse, data) for parse in (lambda text: parse_json(_raw(text)), json.loads))
    assert strict < 4.0 * plain


def _least_seconds(parse: Callable[[bytes], object], data: bytes) -> float:
    def once() -> float:
        start = time.process_time()
        parse(data)
        return time.process_time() - start

    return min(once() for _ in range(7))
