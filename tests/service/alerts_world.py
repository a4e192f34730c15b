"""What the alert tests share: small measurement documents, a loopback webhook that counts keys, a hand-driven clock."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tailwag.market.clock import parse_time_ns
from tailwag.service.alerts import AlertSettings, default_settings
from tailwag.service.alerts.alert import Alert
from tailwag.service.alerts.delivery import Message, Outcome

START = datetime(2026, 9, 15, 14, 30, tzinfo=UTC)
START_NS = parse_time_ns("2026-09-15T14:30:00Z")
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


def iso(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def at_ns(minutes: float) -> int:
    return START_NS + round(minutes * MINUTE_NS)


def measured(minutes: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A quiet market: damping, far from every level; ``changes`` by short names."""
    gain = changes.get("gain", -0.2)
    spot = changes.get("spot", 100_000.0)
    rules = changes.get("rules", {"a": 50e6, "b": 40e6})
    regime = changes.get("regime", None if gain is None else "runaway" if gain >= 1 else "amplifying" if gain > 0 else "damping")
    flips = changes.get("flips", [90_000.0])
    expiries = changes.get("expiries", {"2026-09-25T08:00:00Z": (1e8, 0.5), "2026-12-25T09:00:00Z": (2e8, 0.55)})
    return {
        "schema": "tailwag.measure/1",
        "status": "degraded" if changes.get("degraded") else "ok",
        "degraded": changes.get("degraded", []),
        "headline": ["Dealers damp moves.", "More."],
        "as_of": iso(minutes),
        "currency": changes.get("currency", "BTC"),
        "spot_usd": spot,
        "source": {"name": "test", "synthetic": changes.get("synthetic", False)},
        "assumptions": {"rules": list(rules), "liquidity": {"law": "given", "from": "given"}},
        "exposure": {
            "gex_usd_per_pct": changes.get("gex", 50e6),
            "gross_gex_usd_per_pct": changes.get("gross", 1e9),
            "by_expiry": [
                {
                    "expiry": expiry,
                    "gex_usd_per_pct": gross / 10,
                    "gross_gex_usd_per_pct": gross,
                    "open_interest_coin": 1000.0,
                    "atm_iv": iv,
                }
                for expiry, (gross, iv) in expiries.items()
            ],
        },
        "profile": [{"spot_usd": 1000.0 * step, "gex_usd_per_pct": 1e6 * (step - 90)} for step in range(60, 141)],
        "levels": {
            "flip_status": changes.get("flip_status", "one" if flips else "none"),
            "flips": [{"spot_usd": flip, "crossing": "negative-to-positive"} for flip in flips],
            "call_wall_usd": changes.get("call_wall", 110_000.0),
            "put_wall_usd": changes.get("put_wall", 80_000.0),
        },
        "gain": {
            "value": gain,
            "reason": None if gain is not None else "no depth is known",
            "regime": regime,
            "by_rule": [{"rule": name, "gex_usd_per_pct": gex} for name, gex in rules.items()],
        },
        "calendar": [],
        "my_book": changes.get("my_book"),
    }


def used(pct: float | None, *, by: str = "strike", key: str = "100000", breached: bool = False) -> dict[str, Any]:
    """The own book with one limit used so far."""
    return {
        "limits": [
            {
                "by": by,
                "key": key,
                "gex_usd_per_pct": -1e4 * (pct or 0.0),
                "share": 0.1,
                "limit_usd_per_pct": None if pct is None else 1e6,
                "breached": breached,
            }
        ]
    }


def only(*names: str) -> AlertSettings:
    """Default settings with only these rules on, and no daily note."""
    from dataclasses import replace

    base = default_settings()
    rules = {name: replace(rule, enabled=name in names) for name, rule in base.rules.items()}
    return replace(base, rules=rules, note=replace(base.note, enabled=False))


@dataclass
class Bin:
    """A sender that takes messages, refuses as told, and remembers them."""

    refuse: int = 0
    reason: str = "the other side answered 500"
    taken: list[Message] = field(default_factory=list)
    tried: list[Message] = field(default_factory=list)

    def __call__(self, message: Message, address: str, timeout_seconds: float) -> Outcome:
        self.tried.append(message)
        if self.refuse > 0:
            self.refuse -= 1
            return Outcome(False, self.reason)
        self.taken.append(message)
        return Outcome(True)

    @property
    def keys(self) -> list[str]:
        return [message.key for message in self.taken]


class Webhook:
    """A real HTTP server on loopback; ``answers`` (status, seconds before it) are used up one by one, then 200.  A message counts as it comes."""

    def __init__(self, *answers: tuple[int, float]) -> None:
        self.received: list[dict[str, Any]] = []
        self.answers = list(answers)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, delay = outer.answers.pop(0) if outer.answers else (200, 0.0)
                if status < 300:
                    outer.received.append({"key": self.headers.get("Idempotency-Key"), "path": self.path, **json.loads(body)})
                if delay:
                    time.sleep(delay)
                try:
                    self.send_response(status)
                    if status in (301, 307):
                        self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # the client has gone

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"

    @property
    def keys(self) -> list[str]:
        return [item["key"] for item in self.received]

    def __enter__(self) -> Webhook:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def told(alerts: tuple[Alert, ...]) -> list[tuple[str, str]]:
    return [(alert.key, alert.phase) for alert in alerts]
