"""The web server's two protocols with a bound on patience: a connection that asks nothing, or does not read, is closed."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

FIRST_REQUEST_SECONDS = 10.0
WAITING_BYTES = 64 * 1024
"""What may wait in this process for one stream client before sending to it pauses; the system's own buffers come on top."""


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

    def _give_up(self) -> None:
        asked: Any = self.cycle
        if asked is None and self in self.connections:
            self.transport.abort()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """WebSocket whose sends pause once a client lets more than a little wait."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WAITING_BYTES)
