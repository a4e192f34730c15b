"""The stream: every frame to every client that reads; one that reads slowly gets the newest only, one that does not is let go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tailwag.service.limits import Buckets, Limits
from tailwag.service.protocol import ABORT

if TYPE_CHECKING:
    from fastapi import WebSocket

    from tailwag.service.metrics import Metrics
    from tailwag.service.publish import Board

ALERTS_WAITING = 100
TRY_LATER, POLICY, TOO_BIG = 1013, 1008, 1009


class Outbox:
    """What waits for one client: per source the newest frame of each kind, and the alerts in order; bounded, whatever the client does."""

    def __init__(self, frames: int) -> None:
        self._limit = frames
        self._frames: deque[tuple[tuple[str, str], bytes]] = deque()
        self._alerts: deque[bytes] = deque(maxlen=ALERTS_WAITING)
        self.arrived = asyncio.Event()

    def put(self, kind: str, source: str, text: bytes) -> int:
        """Queue a frame; the number of older frames that it makes superfluous."""
        spared = 0
        if kind == "alert":
            spared = int(len(self._alerts) == ALERTS_WAITING)
            self._alerts.append(text)
        else:
            self._frames.append(((kind, source), text))
            if len(self._frames) > self._limit:
                newest = dict(self._frames)
                spared = len(self._frames) - len(newest)
                self._frames = deque(newest.items())
        self.arrived.set()
        return spared

    def take(self) -> bytes | None:
        """The next frame, alerts first; None where nothing waits."""
        if self._alerts:
            return self._alerts.popleft()
        if self._frames:
            return self._frames.popleft()[1]
        self.arrived.clear()
        return None

    def __len__(self) -> int:
        return len(self._frames) + len(self._alerts)


class Hub:
    """Every stream client of one service, all on one event loop."""

    def __init__(self, board: Board, *, limits: Limits, metrics: Metrics, monotonic: Callable[[], float], frames_waiting: int = 8) -> None:
        self._board, self._limits, self._metrics, self._monotonic = board, limits, metrics, monotonic
        self._frames_waiting = frames_waiting
        self._outboxes: dict[int, tuple[Outbox, frozenset[str]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._outboxes)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to the board from now on."""
        self._loop = loop
        self._stop = self._board.listen(self._hear)

    def close(self) -> None:
        """Listen no more."""
        if self._stop is not None:
            self._stop()

    def _hear(self, kind: str, source: str, text: bytes) -> None:
        """Called in the publishing thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed: nobody is there to hear
                self._loop.call_soon_threadsafe(self._spread, kind, source, text)

    def _spread(self, kind: str, source: str, text: bytes) -> None:
        spared = 0
        for outbox, sources in self._outboxes.values():
            if source in sources:
                spared += outbox.put(kind, source, text)
        if spared:
            self._metrics.conflated.inc(spared)

    async def serve(self, socket: WebSocket, sources: tuple[str, ...], *, subprotocol: str | None = None) -> None:
        """One client from its first frame to its last."""
        if len(self._outboxes) >= self._limits.streams:
            await socket.close(TRY_LATER, "too many stream clients; try again later")
            return
        await socket.accept(subprotocol=subprotocol)
        outbox = Outbox(self._frames_waiting * max(len(sources), 1))
        for source in sources:
            outbox.put("measure", source, self._board.first_frame(source))
        self._outboxes[id(outbox)] = (outbox, frozenset(sources))
        self._metrics.clients.set(len(self._outboxes))
        tasks = [asyncio.ensure_future(self._write(socket, outbox)), asyncio.ensure_future(self._read(socket))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._outboxes[id(outbox)]
            self._metrics.clients.set(len(self._outboxes))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, socket: WebSocket, outbox: Outbox) -> None:
        while True:
            await outbox.arrived.wait()
            text = outbox.take()
            if text is None:
                continue
            try:
                await asyncio.wait_for(socket.send_text(text.decode()), self._limits.send_seconds)
            except TimeoutError:
                self._metrics.evicted.inc()
                await self._drop(socket)
                return

    async def _drop(self, socket: WebSocket) -> None:
        """Disconnect a client that does not read: a polite close would wait for it too."""
        cut = socket.scope.get("extensions", {}).get(ABORT)
        if cut is not None:
            cut["abort"]()

    async def _read(self, socket: WebSocket) -> None:
        """Clients have nothing to say here: what they send is counted and dropped, and too much of it ends the connection."""
        said = Buckets(rate_per_second=self._limits.messages_per_second, burst=self._limits.message_burst, monotonic=self._monotonic)
        while True:
            message: Any = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            size = len(message.get("bytes") or b"") + len(message.get("text") or "")
            if size > self._limits.message_bytes or said.wait_seconds(""):
                await socket.close(TOO_BIG if size > self._limits.message_bytes else POLICY, "this stream only speaks; send nothing")
                return
