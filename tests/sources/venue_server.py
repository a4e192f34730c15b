"""A loopback server that answers like a venue, or badly on purpose; and the real exchange client pointed at it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(slots=True)
class Answer:
    """One raw answer; ``delay_seconds`` holds it back."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    delay_seconds: float = 0.0


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(value).encode(), {name.replace("_", "-"): text for name, text in headers.items()})


def html(status: int = 200) -> Answer:
    return Answer(status, b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", kind="text/html")


class VenueServer:
    """Answers by path and parameters: a route matches when the request has at least the parameters it names, the longest one wins.

    ``spoil`` puts bad answers before (or, with ``forever``, instead of) the good one of every path that contains a text.
    """

    def __init__(self) -> None:
        self.routes: dict[str, Any] = {}
        self.asked: list[str] = []
        self._spoiled: list[tuple[str, list[Answer], bool]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def serve(self, routes: dict[str, Any]) -> None:
        """These good answers, and a clean record."""
        self.routes, self.asked, self._spoiled = dict(routes), [], []

    def spoil(self, text: str, *answers: Answer, forever: bool = False) -> None:
        self._spoiled.append((text, list(answers), forever))

    def answer(self, target: str) -> Answer:
        self.asked.append(target)
        for text, answers, forever in self._spoiled:
            if text in target and answers:
                return answers[0] if forever else answers.pop(0)
        parts = urlsplit(target)
        given = set(parse_qsl(parts.query))
        fitting = [route for route in self.routes if urlsplit(route).path == parts.path and set(parse_qsl(urlsplit(route).query)) <= given]
        if not fitting:
            return as_json({"error": {"code": -32601, "message": f"no such route {target}"}, "code": "404", "retCode": 404}, 404)
        return as_json(self.routes[max(fitting, key=len)])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        venue = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet: two would wait for each other

            def do_GET(self) -> None:
                answer = venue.answer(self.path)
                time.sleep(answer.delay_seconds)
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", answer.kind)
                    self.send_header("Content-Length", str(len(answer.body)))
                    for name, text in answer.headers.items():
                        self.send_header(name, text)
                    self.end_headers()
                    self.wfile.write(answer.body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client gave up waiting, as a timeout test wants it to

            def log_message(self, *_arguments: Any) -> None:
                """Silence: the record is ``asked``."""

        return Handler


@contextmanager
def running() -> Iterator[VenueServer]:
    server = VenueServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def pointed_at(exchange: Any, url: str) -> Any:
    """The same client with every public address replaced, unthrottled: the pauses between requests are the library's, not ours to test."""
    if exchange.id == "deribit":
        exchange.urls["api"] = {"rest": url, "ws": url.replace("http", "ws") + "/ws/api/v2"}
    elif exchange.id == "binance":
        exchange.urls["api"] = {**exchange.urls["api"], "eapiPublic": f"{url}/eapi/v1", "fapiPublic": f"{url}/fapi/v1"}
    elif exchange.id == "bybit":
        exchange.urls["api"] = {**exchange.urls["api"], "public": url}
    else:
        exchange.urls["api"] = {"rest": url}
    exchange.enableRateLimit = False
    return exchange
