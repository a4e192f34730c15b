"""JSON-RPC as Deribit speaks it over a socket: every answer is matched to its question by id, and believed for nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tailwag.sources.deribit_records import as_number
from tailwag.sources.streams.wire import Send

PATIENCE_SECONDS = 10.0
"""A question unanswered for so long is given up; its answer, should it come, is a stranger's."""
TOO_MANY_REQUESTS = 10028
NOT_NOW = frozenset({10041, 10047, 10066, 11051, 11094, 13503, 13888, 13889})
"""Settlement in progress, engine busy, maintenance, internal trouble, timed out: the same question may be answered later."""
MAINTENANCE = 11051


@dataclass(frozen=True, slots=True)
class Call:
    """A question that was asked: its method, what it is about, and the time it was asked at (monotonic seconds)."""

    method: str
    about: str
    channels: tuple[str, ...]
    asked_at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question: a result, or an error code above 0."""

    call: Call
    result: Any
    error: int = 0
    sent_ms: float = float("nan")
    """The venue's clock when it answered; NaN where it did not say."""


class Calls:
    """Questions under way.  Ids are never used twice, over any number of connections."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._next_id = 1
        self._waiting: dict[int, Call] = {}

    def ask(self, method: str, parameters: dict[str, Any], now: float, *, about: str = "", channels: Sequence[str] = ()) -> Send:
        """The message that asks; the question waits for its answer from ``now`` on."""
        number, self._next_id = self._next_id, self._next_id + 1
        self._waiting[number] = Call(method, about, tuple(channels), now)
        return Send(orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}).decode())

    def answer(self, message: dict[str, Any]) -> Answer | None:
        """The answer in a message with an id; None, and counted, where it answers nothing that was asked or is malformed."""
        number = message.get("id")
        if not isinstance(number, int) or isinstance(number, bool) or number not in self._waiting:
            self._counts["replies_unknown_id"] += 1
            return None
        error, has_result = message.get("error"), "result" in message
        code = as_number(error.get("code")) if isinstance(error, dict) else float("nan")
        if (error is not None) == has_result or (error is not None and not 0.0 < abs(code) < 1e9):
            self._counts["replies_malformed"] += 1
            return None  # neither believed nor settled: the question runs out of time and is asked anew
        call = self._waiting.pop(number)
        if error is None:
            return Answer(call, message["result"], sent_ms=as_number(message.get("usOut")) / 1000.0)
        self._counts[f"errors_{int(abs(code))}"] += 1
        return Answer(call, None, error=int(abs(code)))

    def given_up(self, now: float) -> list[Call]:
        """Questions that have waited too long; they wait no more."""
        late = [number for number, call in self._waiting.items() if now - call.asked_at > PATIENCE_SECONDS]
        self._counts["calls_unanswered"] += len(late)
        return [self._waiting.pop(number) for number in late]

    def clear(self) -> None:
        """The connection is gone, and every question with it."""
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)


def parsed(message: str | bytes) -> dict[str, Any] | None:
    """A message as a JSON-RPC 2.0 object; None where it is no such thing."""
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and value.get("jsonrpc") == "2.0" else None
