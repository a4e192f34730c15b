"""The authorization matrix: who may use which route from where, written by hand, and how to ask one cell of it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.service.live_service import Live, live_service, token_file

from tailwag.service.auth import Role, TokenFile
from tailwag.service.limits import Limits
from tailwag.service.settings import ServeSettings

Cell = tuple[str, str, str, str, str]
"""Method, path, credential, origin, host."""

TOKENS = {"viewer": "viewer-token-0123456789", "operator": "operator-token-0123456789", "admin": "admin-token-0123456789"}
REMOVED = "removed-token-0123456789"
PATIENT = Limits(failures_per_second=1e6, failure_burst=1e6, heavy_per_second=1e6, heavy_burst=1e6)

DECLARED = {
    ("GET", "/healthz"): Role.PUBLIC,
    ("GET", "/readyz"): Role.PUBLIC,
    ("GET", "/metrics"): Role.VIEWER,
    ("GET", "/openapi.json"): Role.PUBLIC,
    ("GET", "/"): Role.PUBLIC,
    ("GET", "/static/{name:path}"): Role.PUBLIC,
    ("GET", "/api/v1/sources"): Role.VIEWER,
    ("GET", "/api/v1/measure/latest"): Role.VIEWER,
    ("GET", "/api/v1/measure"): Role.VIEWER,
    ("GET", "/api/v1/history"): Role.VIEWER,
    ("GET", "/api/v1/index"): Role.VIEWER,
    ("GET", "/api/v1/whatif"): Role.VIEWER,
    ("POST", "/api/v1/whatif"): Role.VIEWER,
    ("POST", "/api/v1/book"): Role.VIEWER,
    ("GET", "/api/v1/alerts"): Role.VIEWER,
    ("WEBSOCKET", "/api/v1/stream"): Role.VIEWER,
}
"""The matrix as it is meant, written by hand: a route that is not here fails the build."""


def routes_of(app: Any) -> dict[tuple[str, str], Any]:
    found = {}
    for route in app.router.routes:
        for method in getattr(route, "methods", None) or {"WEBSOCKET"}:
            found[method, route.path] = route.endpoint
    return found


CREDENTIALS: dict[str, tuple[dict[str, str], str, Role | None]] = {
    "none": ({}, "", None),
    "wrong": ({"authorization": "Bearer wrong-token-0123456789"}, "", None),
    "removed": ({"authorization": f"Bearer {REMOVED}"}, "", None),
    "basic": ({"authorization": f"Basic {TOKENS['admin']}"}, "", None),
    "empty": ({"authorization": "Bearer"}, "", None),
    "wrong in the query": ({}, "?token=wrong-token-0123456789", None),
    "viewer, and admin in the query": ({"authorization": f"Bearer {TOKENS['viewer']}"}, f"?token={TOKENS['admin']}", Role.VIEWER),
    "in the query": ({}, f"?token={TOKENS['admin']}", None),
    "in a cookie": ({"cookie": f"token={TOKENS['admin']}"}, "", None),
    **{role: ({"authorization": f"Bearer {token}"}, "", Role[role.upper()]) for role, token in TOKENS.items()},
}
ORIGINS = {
    "none": None,
    "own": "own",
    "evil": "https://evil.example",
    "null": "null",
    "other port": "http://127.0.0.1:1",
    "suffix": "own.evil.example",
}
HOSTS = {"own": None, "public": "desk.example.com", "evil": "evil.example", "rebound": "127.0.0.1.evil.example"}


def expected_status(role: Role, given: Role | None, *, token_given: bool, origin: str, host: str, open_reading: bool) -> str:
    """The matrix in words, for whoever reads it: refused for its place, for its token, or let through."""
    if host in ("evil", "rebound") or origin not in ("none", "own"):
        return "403"
    if role is Role.PUBLIC:
        return "through"
    if given is None:
        return "through" if open_reading and not token_given else "401"
    return "through" if given >= role else "403"


def told(status: int) -> str:
    return str(status) if status in (401, 403) else "through"


def wrong_cells(live: Live, cells: Iterable[Cell], *, open_reading: bool) -> list[tuple[Cell, int, str]]:
    """The cells whose answer is not the declared one, with what came and what was declared."""
    wrong = []
    with httpx.Client(verify=False, base_url=live.address, timeout=20.0) as client:
        for cell in cells:
            method, path, credential, origin, host = cell
            status = ask(client, live, cell)
            headers, _, given = CREDENTIALS[credential]
            wanted = expected_status(
                DECLARED[method, path],
                given,
                token_given="authorization" in headers,
                origin=origin,
                host="evil" if host == "public" and open_reading else host,
                open_reading=open_reading,
            )
            is_trouble = status >= 500 and (path, status) != (
                "/readyz",
                503,
            )  # not ready is an answer: the one source may have fallen silent
            if told(status) != wanted or is_trouble:
                wrong.append((cell, status, wanted))
    return wrong


def ask(client: httpx.Client, live: Live, cell: Cell) -> int:
    """The status that one cell is answered with."""
    method, path, credential, origin, host = cell
    path = path.replace("{name:path}", "style.css")
    headers, query, _ = CREDENTIALS[credential]
    headers = dict(headers)
    named = HOSTS[host] or f"127.0.0.1:{live.port}"
    if HOSTS[host] is not None:
        headers["host"] = named
    if origin == "own":
        headers["origin"] = f"http://{named}"
    elif origin == "suffix":
        headers["origin"] = f"http://{named}.evil.example"
    elif ORIGINS[origin] is not None:
        headers["origin"] = str(ORIGINS[origin])
    if method == "WEBSOCKET":
        return shake(live, path + query, headers)
    return client.request(method, path + query, headers=headers, content=b"{}" if method == "POST" else None).status_code


UPGRADE = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


def shake(live: Live, path: str, headers: dict[str, str]) -> int:
    """The status of a WebSocket handshake, whatever headers it needs."""
    lines = {"host": f"127.0.0.1:{live.port}", **UPGRADE, **headers}
    with socket.create_connection(("127.0.0.1", live.port), timeout=10.0) as wire:
        wire.sendall((f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n").encode())
        return int(wire.recv(64).split(b" ")[1])


@contextmanager
def guarded_service(folder: Path) -> Iterator[Live]:
    """As beyond loopback: nothing is open without a token.  (It listens on loopback; only the settings say otherwise.)"""
    path = folder / "tokens"
    settings = ServeSettings(host="192.0.2.7", public_hosts=("127.0.0.1", "desk.example.com"), token_file=str(path), behind_tls=True)
    with live_service(folder / "store", settings=settings, tokens=tokens_without_the_removed(folder), limits=PATIENT, first=1) as running:
        yield running


@contextmanager
def loopback_service(folder: Path) -> Iterator[Live]:
    """Loopback with tokens set: reading is open, a token that is given must be right."""
    with live_service(folder / "other", tokens=tokens_without_the_removed(folder), limits=PATIENT, first=1) as running:
        yield running


def tokens_without_the_removed(folder: Path) -> TokenFile:
    """A token file from which one token has been taken away while it was in use."""
    now = [0.0]
    lines = [f"{role}:{token}" for role, token in TOKENS.items()]
    tokens = TokenFile(str(token_file(folder, f"admin:{REMOVED}", *lines)), monotonic=lambda: now[0])
    assert tokens.role_of(REMOVED) is Role.ADMIN
    token_file(folder, *lines)
    now[0] = 1.5
    assert tokens.role_of(REMOVED) is None
    return tokens
