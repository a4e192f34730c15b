"""The web server's two protocols with a bound on patience: a connection that asks nothing, or does not read, is closed."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tailwag.service.answers import error_body

FIRST_REQUEST_SECONDS = 10.0
LAST_WORDS_SECONDS = 1.0
ABORT = "tailwag.abort"
"""Under this name a WebSocket's scope holds how to cut its connection."""
WAITING_BYTES = 64 * 1024
"""What may wait for one stream client in this process before sending to it pauses, and as much again in the system."""


class BoundedHttp(H11Protocol):
    """HTTP/1.1 whose first request must be complete within ten seconds: a header sent a byte at a time holds no connection."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._patience = self.loop.call_later(FIRST_REQUEST_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no request is told so in JSON, as every other error is."""
        body = error_body("not a request of HTTP/1.1; see /openapi.json")
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        for event in (h11.Response(status_code=400, headers=headers, reason=b"Bad Request"), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _give_up(self) -> None:
        asked: Any = self.cycle
        if asked is None and self in self.connections:
            self.transport.abort()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """WebSocket whose sends pause once a client lets a little wait, and whose connection can be cut without waiting for the client."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WAITING_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # the system would else keep megabytes for each client that does not read
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WAITING_BYTES)

    async def run_asgi(self) -> None:
        # the ASGI way to close waits until the client has read what was sent: one that reads nothing would stay for ever
        self.scope["extensions"][ABORT] = {"abort": self.transport.abort}
        await super().run_asgi()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(LAST_WORDS_SECONDS, self.transport.abort)
