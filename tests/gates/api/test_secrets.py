"""G18: canaries in every place that holds a secret, through failures; none comes out of the process anywhere."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
from tests.service.live_service import Serving, live_service, serving, token_file
from websockets.sync.client import connect

from tailwag.errors import VenueError

CANARY = "canary7Q3x"
TOKEN = f"{CANARY}-viewer-token-0123456789"
HOOK, MAIL, LOOSE, VENUE = (f"{CANARY}hook", f"{CANARY}mail", f"{CANARY}environment", f"{CANARY}venue")
ALERTS = """\
[delivery]
attempts = 2
backoff_seconds = 0.05

[[channel]]
name = "hook"
url_env = "TAILWAG_HOOK_URL"

[[channel]]
name = "mail"
url_env = "TAILWAG_MAIL_URL"
"""


class Refusing(BaseHTTPRequestHandler):
    """A webhook that echoes what it was asked into its error."""

    def do_POST(self) -> None:
        body = f"error at {self.path}".encode()
        self.send_response(500, f"failed {HOOK}")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def everything_told(service: Serving) -> dict[str, bytes]:
    """Every answer, frame and page that a reader of any standing can get, wrong questions too."""
    told: dict[str, bytes] = {}
    for name, headers in {
        "nobody": {},
        "viewer": {"authorization": f"Bearer {TOKEN}"},
        "wrong": {"authorization": f"Bearer {TOKEN}x"},
    }.items():
        with httpx.Client(base_url=service.address, verify=False, timeout=20.0, headers=headers) as client:
            for path in (
                "/healthz",
                "/readyz",
                "/metrics",
                "/openapi.json",
                "/api/v1/sources",
                "/api/v1/alerts",
                "/api/v1/measure/latest",
                "/",
            ):
                answer = client.get(path)
                told[f"{name} {path}"] = answer.content + str(answer.headers).encode()
            for path in (f"/api/v1/sources?token={TOKEN}", f"/static/{TOKEN}", f"/api/v1/whatif?dynamics={HOOK}"):
                client.get(path)  # what a client writes itself may be told to it, but to nobody else
            told[f"{name} metrics afterwards"] = client.get("/metrics").content
    with connect(f"ws://127.0.0.1:{service.port}/api/v1/stream", additional_headers={"authorization": f"Bearer {TOKEN}"}) as stream:
        told["frames"] = b"".join(str(stream.recv(timeout=20.0)).encode() for _ in range(4))
    return told


def test_no_canary_comes_out(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(ALERTS)
    hook = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    environment = {
        "TAILWAG_TOKEN_FILE": str(token_file(tmp_path, f"viewer:{TOKEN}")),
        "TAILWAG_HOOK_URL": f"json://user:{HOOK}@127.0.0.1:{hook.server_port}/{HOOK}?key={HOOK}",
        "TAILWAG_MAIL_URL": f"mailto://desk:{MAIL}@127.0.0.1:1?to=desk@example.org",
        "TAILWAG_ANYTHING": LOOSE,
    }
    store = tmp_path / "store"
    with serving(
        tmp_path, "--store", str(store), "--every", "0.3", "--alerts", str(tmp_path / "alerts.toml"), environment=environment
    ) as service:
        wait_until_attempted(service)
        told = everything_told(service)
        told["cmdline"] = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        assert service.stop() == 0
        assert service.process.stdout is not None
        told["stdout"] = service.process.stdout.read().encode()
    hook.shutdown()
    hook.server_close()
    told["stderr"] = service.errors.read_bytes()
    files = {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert len(files) > 3
    assert "failed" in told["viewer /api/v1/alerts"].decode() or "500" in told["viewer /api/v1/alerts"].decode(), "no delivery failed"
    assert [name for name, data in {**told, **files}.items() if CANARY.encode() in data] == []


def wait_until_attempted(service: Serving) -> None:
    """Until an alert has been tried on the webhook."""
    deadline = time.monotonic() + 240.0
    headers = {"authorization": f"Bearer {TOKEN}"}
    while time.monotonic() < deadline:
        alerts = httpx.get(f"{service.address}/api/v1/alerts", headers=headers, verify=False, timeout=60.0).json()["alerts"]
        if any(way["reason"] for alert in alerts for way in alert["deliveries"].values()):
            return
        time.sleep(0.1)
    raise AssertionError(f"no alert was tried; {json.dumps(alerts)[:300]}")


ECHOES = (
    f"GET https://user:{VENUE}@example.org/v2?x=1 failed",
    f"GET https://example.org/v2?api_key={VENUE}&x=1 failed with 500",
    f"GET https://example.org/v2?apiKey={VENUE} failed",
    f"signature={VENUE} is not valid",
    f"Authorization: Bearer {VENUE} was refused",
    f"{{'access_token': '{VENUE}'}}",
    f'{{"client_secret": "{VENUE}", "x": 1}}',
    f"X-API-KEY: {VENUE}",
)


def test_a_venue_that_echoes_a_key_does_not_spread_it(tmp_path: Path) -> None:
    with live_service(tmp_path, first=1) as live:
        for words in ECHOES:
            live.script.items.append(VenueError(words))
            live.monitor.turn("one")
            live.monitor._sources["one"].freshness.max_age_seconds = 0.0  # its trouble is shown once it is stale
            live.monitor.watch()
            shown = [httpx.get(f"{live.address}{path}", verify=False).text for path in ("/api/v1/sources", "/metrics")]
            told = [live.log.getvalue(), live.board.first_frame("one").decode(), *shown]
            assert [text for text in told if VENUE in text] == [], words
        assert live.log.getvalue().count("source failed") == len(ECHOES)
