"""Sixty attacks: each is turned away within a second, by a sentence or a closed connection, and the service goes on unharmed."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.service.live_service import Live, live_service

from tailwag.service.limits import Limits

SECONDS = 1.0
GIANT = 400_000
HEAD = "Host: HOST\r\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    limits = Limits(body_seconds=0.5, heavy_per_second=1e6, heavy_burst=1e6)
    with live_service(tmp_path_factory.mktemp("attacked"), limits=limits, first=1) as running:
        yield running


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


def many_keys(count: int) -> str:
    return "{" + ",".join(f'"k{number}":1' for number in range(count)) + "}"


def post(path: str, body: str | bytes, *headers: str) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"POST {path} HTTP/1.1\r\n{HEAD}{lines}Content-Length: {len(data)}\r\n\r\n".encode() + data


def get(path: str, *headers: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\n{HEAD}{''.join(f'{line}{chr(13)}{chr(10)}' for line in headers)}\r\n".encode("latin-1")


WHATIF, BOOK = "/api/v1/whatif", "/api/v1/book"
CSV = "instrument,contracts\n"
ATTACKS: dict[str, bytes] = {
    "giant body announced": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Content-Length: 9999999999\r\n\r\n".encode(),
    "giant body sent": post(BOOK, "x" * GIANT),
    "giant length with digits of other scripts": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Content-Length: ٣\r\n\r\n".encode(),
    "length below zero": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n".encode(),
    "two lengths": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc".encode(),
    "length and chunks": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "chunks without end": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    + b"ffff\r\n"
    + b"x" * 65535
    + b"\r\n" * 1,
    "chunks beyond the limit": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    + (b"ffff\r\n" + b"x" * 65535 + b"\r\n") * 6,
    "packed body": post(BOOK, gzip.compress(b"0" * 10_000_000), "Content-Encoding: gzip"),
    "packed twice": post(BOOK, gzip.compress(gzip.compress(b"0" * 1_000_000)), "Content-Encoding: gzip, gzip"),
    "body that never comes": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Content-Length: 100\r\n\r\nabc".encode(),
    "deep JSON": post(WHATIF, deep(100_000)),
    "deep object": post(WHATIF, '{"rule":' * 20_000),
    "many keys": post(WHATIF, many_keys(20_000)),
    "key twice": post(WHATIF, '{"rule":["short-all"],"x":1}'),
    "NaN": post(WHATIF, '{"hedge_share": NaN}'),
    "Infinity": post(WHATIF, '{"move_pct": Infinity}'),
    "1e999": post(WHATIF, '{"depth_usd_per_pct": 1e999}'),
    "2^63": post(WHATIF, '{"depth_usd_per_pct": 18446744073709551616999999}'),
    "a number as text": post(WHATIF, '{"hedge_share": "0.5"}'),
    "a list for an object": post(WHATIF, "[]"),
    "invalid UTF-8": post(WHATIF, b'{"rule": ["\xff\xfe"]}'),
    "byte order mark": post(WHATIF, b'\xef\xbb\xbf{"rule": "x"}'),
    "NUL in a rule": post(WHATIF, '{"rule": ["short-all\\u0000"]}'),
    "a hundred rules": post(WHATIF, '{"rule": [' + ",".join(['"short-all"'] * 100) + "]}"),
    "a long rule": post(WHATIF, '{"rule": ["' + "a" * 10_000 + '"]}'),
    "a wide mixture": post(WHATIF, '{"rule": ["mixture:' + "+".join(["short-all@0.01"] * 12) + '"]}'),
    "a rule that reads a file": post(WHATIF, '{"rule": ["flow:/etc/passwd"]}'),
    "a rule that reads another file": post(WHATIF, '{"rule": ["mixture:positions:/etc/shadow@0.5+short-all@0.5"]}'),
    "a regular expression": get(f"{WHATIF}?rule=(a%2B)%2B%24" + "a" * 500),
    "an endless field": get("/api/v1/history?field=" + "a." * 400),
    "a field of the interpreter": get("/api/v1/history?field=__class__.__mro__.0"),
    "a field with SQL": get("/api/v1/history?field=gain.value%27;ATTACH%20%27x%27"),
    "a field that is a path": get("/api/v1/history?field=../../etc/passwd"),
    "a giant page": get("/api/v1/history?field=gain.value&limit=1000000000"),
    "a page below zero": get("/api/v1/history?field=gain.value&limit=-5"),
    "a time of another calendar": get("/api/v1/measure?at=9999-12-31T23:59:59Z-"),
    "a time in digits of other scripts": get("/api/v1/measure?at=%D9%A2%D9%A0%D9%A2%D9%A6"),
    "a long time": get("/api/v1/measure?at=" + "2" * 1_000),
    "a source that is markup": get("/api/v1/measure/latest?source=%3Cscript%3Ealert(1)%3C/script%3E"),
    "a source with a new line": get("/api/v1/measure/latest?source=a%0d%0aSet-Cookie:%20x=1"),
    "an address too long": get("/api/v1/sources?" + "a" * 4_000),
    "an address far too long": get("/" + "a" * 30_000),
    "a header too long": get("/healthz", "X: " + "a" * 20_000),
    "many headers": get("/healthz", *(f"X{number}: 1" for number in range(200))),
    "two hosts": get("/healthz", "Host: evil.example"),
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "a host with a user": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\n\r\n",
    "a host with a path": b"GET /healthz HTTP/1.1\r\nHost: evil.example/127.0.0.1\r\n\r\n",
    "an absolute address": b"GET http://evil.example/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "climbing": get("/static/../../../../etc/passwd"),
    "climbing, escaped": get("/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
    "climbing, escaped twice": get("/static/%252e%252e%252fetc/passwd"),
    "an absolute file": get("/static//etc/passwd"),
    "a network share": get("/static/%5c%5cevil%5cshare"),
    "a file address": get("/static/file:///etc/passwd"),
    "NUL in a file": get("/static/style.css%00.png"),
    "a file of the code": get("/static/__init__.py"),
    "TRACE": f"TRACE / HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "CONNECT": f"CONNECT evil.example:443 HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "an unknown method": f"BREW /healthz HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
    "a smuggled second request": f"POST {BOOK} HTTP/1.1\r\n{HEAD}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n".encode(),
    "a book of formulas": post(BOOK, CSV + "=cmd|' /C calc'!A0,1\n"),
    "a book of markup": post(BOOK, CSV + "<script>alert(1)</script>,1\n"),
    "a book of direction marks": post(BOOK, CSV + "\u202ebtc,1\n"),
    "a book of strange numbers": post(BOOK, CSV + "BTC-PERPETUAL,1e308\n"),
    "a book of no numbers": post(BOOK, CSV + "BTC-PERPETUAL,nan\n"),
    "a book of many lines": post(BOOK, CSV + "BTC-PERPETUAL,1\n" * 3_000),
    "a book of one long line": post(BOOK, CSV + "A" * 200_000 + ",1\n"),
    "a book of quotes": post(BOOK, CSV + '"' * 50_001 + ",1\n"),
    "a pickle": post(BOOK, b"\x80\x04\x95\x00", "Content-Type: application/octet-stream"),
    "a form": post(BOOK, "a=1", "Content-Type: application/x-www-form-urlencoded"),
    "a page of another origin": get("/api/v1/sources", "Origin: https://evil.example"),
    "a stream of another origin": get(
        "/api/v1/stream",
        "Origin: https://evil.example",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "a stream with a bad key": get(
        "/api/v1/stream", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"
    ),
}


def attacked(live: Live, data: bytes) -> tuple[bytes, float]:
    """What comes back until the service has answered or hung up, and after how long."""
    host = f"127.0.0.1:{live.port}".encode()
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", live.port), timeout=5.0) as wire:
        answer = b""
        try:
            wire.sendall(data.replace(b"Host: HOST", b"Host: " + host))
            while b"\r\n\r\n" not in answer or not complete(answer):
                part = wire.recv(65536)
                if not part:
                    break
                answer += part
        except ConnectionError:
            pass  # it hung up on us
    return answer, time.monotonic() - started


def complete(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def test_there_are_sixty() -> None:
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_turned_away_within_a_second_and_harms_nothing(live: Live, name: str) -> None:
    answer, seconds = attacked(live, ATTACKS[name])
    for _ in range(3):  # a busy machine may take a second of its own, but not every time
        if seconds > SECONDS:
            answer, seconds = attacked(live, ATTACKS[name])
    status = int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1") else 0
    assert status == 0 or 400 <= status < 500, answer[:200]
    assert seconds <= SECONDS
    for leak in (b"Traceback", b"site-packages", b"root:", b"evil=", b"set-cookie", b"<script>"):
        assert leak not in answer
    if status and b"application/json" in answer.lower():
        assert answer.partition(b"\r\n\r\n")[2].startswith(b'{"error":')
    assert httpx.get(f"{live.address}/healthz", verify=False).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/measure/latest", "/api/v1/stream"])
@pytest.mark.parametrize("own_first", [True, False])
def test_a_second_host_is_refused_whichever_comes_first(live: Live, path: str, own_first: bool) -> None:
    """Even where both are the service's own: what stands between may have believed the other one."""
    for other in ("evil.example", f"127.0.0.1:{live.port}"):
        hosts = ["Host: HOST\r\n", f"Host: {other}\r\n"]
        lines = "".join(hosts if own_first else hosts[::-1])
        answer, _ = attacked(live, f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        assert answer.split(b" ")[1] in (b"400", b"403"), answer[:200]


def test_the_gate_refuses_two_hosts_by_itself(live: Live) -> None:
    """Whichever server stands in front of it: this one turns them away before they come here."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    def status(hosts: list[bytes]) -> int:
        sent.clear()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/healthz",
            "raw_path": b"/healthz",
        }
        scope |= {"query_string": b"", "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", live.port)}
        asyncio.run(live.app({**scope, "headers": [(b"host", host) for host in hosts]}, receive, send))
        return int(sent[0]["status"])

    own = f"127.0.0.1:{live.port}".encode()
    assert [status([own]), status([own, b"evil.example"]), status([b"evil.example", own]), status([own, own]), status([])] == [200] + [
        403
    ] * 4


def test_the_memory_that_an_attack_costs_is_small(live: Live) -> None:
    for name in ATTACKS:
        attacked(live, ATTACKS[name])  # what is loaded on first use is not what an attack costs
    before = resident_mebibytes()
    for name in ("giant body sent", "chunks beyond the limit", "deep JSON", "deep object", "many keys", "packed body"):
        for _ in range(5):
            attacked(live, ATTACKS[name])
    assert resident_mebibytes() - before <= 50.0


def resident_mebibytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1]) / 1024.0
    raise AssertionError("no VmRSS")


def test_nothing_beside_the_store_is_written(live: Live) -> None:
    folder = live.service.archive.folder
    assert {path.name for path in folder.iterdir()} == {"epoch", "lock", "mark", "segment-00000001.tws", "series"}
    assert {path.name for path in folder.parent.iterdir()} >= {folder.name}


def test_a_client_that_asks_too_often_waits(tmp_path: Path) -> None:
    limits = Limits(requests_per_second=5.0, request_burst=20.0)
    with live_service(tmp_path, limits=limits, first=1) as here, httpx.Client(verify=False, base_url=here.address) as client:
        answers = [client.get("/healthz") for _ in range(60)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 30 <= len(refused) <= 41
        assert refused[0].headers["retry-after"] == "5"
        assert "too many requests" in refused[0].json()["error"]


def test_heavy_questions_are_fewer_still(tmp_path: Path) -> None:
    limits = Limits(heavy_per_second=0.01, heavy_burst=3.0)
    with live_service(tmp_path, limits=limits, first=1) as here, httpx.Client(verify=False, base_url=here.address, timeout=20.0) as client:
        statuses = [client.get("/api/v1/whatif", params={"hedge_share": 0.5}).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert client.get("/api/v1/measure/latest").status_code == 200
