"""Delivery through apprise to a real HTTP server on loopback: keys, pictures, refusals, slowness, redirects; addresses never leak."""

from __future__ import annotations

import base64
import io
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.service.alerts_world import Webhook, measured
from tests.service.test_alerts_desk import ring, settings

from tailwag.errors import InputError
from tailwag.service.alerts import AlertDesk, Channel, Courier, delivery
from tailwag.service.alerts.delivery import Message, Outcome, check_address, send_with_apprise

SECRET = "T0KENxSECRET"
MESSAGE = Message("key-1", "title", "body: 1 % & <b>", "warning")


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that any handler of the root logger would write, at the loudest level."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    loud = [logging.getLogger(name) for name in ("apprise", "urllib3", "urllib3.connectionpool", "requests")]
    levels = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(1)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    for logger, before in zip(loud, levels, strict=True):
        logger.setLevel(before)


def test_a_message_arrives_with_its_key_and_its_picture() -> None:
    with Webhook() as hook:
        message = Message("key-2", "title", "body: 1 % & <b>", "critical", b"\x89PNG....", "card.png")
        assert send_with_apprise(message, hook.url, 5.0) == Outcome(True)
    (got,) = hook.received
    assert (got["key"], got["title"], got["message"], got["type"]) == ("key-2", "title", "body: 1 % & <b>", "failure")
    assert base64.b64decode(got["attachments"][0]["base64"]) == b"\x89PNG...."
    assert got["attachments"][0]["filename"] == "card.png"


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_refusal_is_told_by_its_status(status: int, everything_logged: io.StringIO) -> None:
    with Webhook((status, 0.0)) as hook:
        outcome = send_with_apprise(MESSAGE, f"{hook.url}/{SECRET}?+X-Token={SECRET}", 5.0)
    assert outcome == Outcome(False, f"the other side answered {status}")
    assert SECRET not in everything_logged.getvalue()


def test_redirects_are_not_followed() -> None:
    with Webhook((307, 0.0)) as hook:
        assert send_with_apprise(MESSAGE, hook.url, 5.0) == Outcome(False, "the other side answered 307")
        assert hook.received == []


def test_nobody_there_is_told_without_the_address(everything_logged: io.StringIO) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = send_with_apprise(MESSAGE, f"json://user:{SECRET}@127.0.0.1:{port}/{SECRET}?+X-Token={SECRET}", 2.0)
    assert outcome == Outcome(False, "no connection, or no answer in time")
    assert SECRET not in everything_logged.getvalue()


def test_success_at_the_loudest_level_logs_no_address(everything_logged: io.StringIO) -> None:
    with Webhook() as hook:
        assert send_with_apprise(MESSAGE, f"{hook.url}/{SECRET}", 5.0).taken
        # other threads and other uses of the same loggers are not silenced
        logging.getLogger("urllib3.connectionpool").warning("somebody else's")
    assert SECRET not in everything_logged.getvalue()
    assert "somebody else's" in everything_logged.getvalue()


def test_a_slow_server_holds_nobody_up() -> None:
    delivery._load()
    took = []
    for _ in range(3):  # a busy machine may be late by a second, but not every time
        with Webhook((200, 1.5)) as hook:
            begun = time.monotonic()
            assert not send_with_apprise(MESSAGE, hook.url, 0.2).taken
            took.append(time.monotonic() - begun)
        if took[-1] < 1.3:
            break
    assert min(took) < 1.3


def test_a_server_that_drips_is_left_and_its_channel_is_busy_until_it_ends() -> None:
    """Each byte comes in time, the whole never does: only a limit on the whole attempt helps."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        with connection:
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    url = f"json://127.0.0.1:{server.getsockname()[1]}/x"
    try:
        assert send_with_apprise(MESSAGE, url, 0.3) == Outcome(False, "no answer within 0.3 s")
        assert send_with_apprise(MESSAGE, url, 0.3) == Outcome(False, "the attempt before has not ended yet")
    finally:
        stop.set()
        thread.join(5)
        server.close()


@pytest.mark.parametrize("address", [f"nosuch://{SECRET}", SECRET, f"slack://{SECRET}", "", "json://"])
def test_an_address_of_no_known_kind_is_refused_without_showing_it(address: str, everything_logged: io.StringIO) -> None:
    with pytest.raises(InputError, match="channel desk") as refused:
        check_address(address, channel="desk")
    assert SECRET not in str(refused.value) + everything_logged.getvalue()
    outcome = send_with_apprise(MESSAGE, address, 5.0)
    assert not outcome.taken
    assert SECRET not in outcome.reason + everything_logged.getvalue()


@pytest.mark.parametrize(
    "address",
    [
        "json://127.0.0.1:1/path",
        "jsons://example.org/path",
        "mailto://user:password@example.org",
        "tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/12345678",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
    ],
)
def test_the_usual_kinds_of_address_are_known(address: str) -> None:
    check_address(address, channel="desk")


@pytest.mark.parametrize("loaded", [True, False])
def test_a_notifier_that_breaks_is_told_by_its_kind_only(loaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    delivery._load.cache_clear()
    if loaded:
        delivery._load()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(apprise.Apprise, "instantiate", broken)
    assert send_with_apprise(MESSAGE, "json://127.0.0.1/x", 5.0) == Outcome(False, "the notifier failed (RuntimeError)")


def test_the_courier_delivers_through_trouble_while_another_channel_hangs(tmp_path: Path, everything_logged: io.StringIO) -> None:
    said: list[str] = []
    with Webhook((500, 0.0), (503, 0.0)) as good, Webhook(*[(200, 0.6)] * 4) as slow:
        channels = Channel("good", url=f"{good.url}/{SECRET}"), Channel("slow", url=f"{slow.url}/{SECRET}")
        chosen = settings(*channels, backoff_seconds=0.02, timeout_seconds=0.1)
        with AlertDesk(tmp_path, chosen, say=said.append) as desk:
            with Courier(desk, clock=time.time_ns) as courier:
                for step in range(4):
                    ring(desk, step)
                courier.wake()
                limit = time.monotonic() + 30
                while desk.waiting("good") and time.monotonic() < limit:
                    time.sleep(0.01)
                assert desk.waiting("good") == 0
                assert desk.waiting("slow") > 0
            assert len(good.keys) == len(set(good.keys)) == 4
            everything = " ".join(said) + str(desk.history()) + (tmp_path / "alerts.journal").read_text() + everything_logged.getvalue()
    assert "the other side answered 500" in everything
    assert SECRET not in everything


def test_an_address_that_cannot_be_read_is_a_failed_attempt_not_a_crash(tmp_path: Path) -> None:
    channel = Channel("desk", url_env="TAILWAG_NO_SUCH_URL")
    with AlertDesk(tmp_path, settings(channel, attempts=2)) as desk:
        desk.observe({"BTC": measured(0, gain=0.6)}, at_ns=1)
        desk.deliver(channel, at_ns=1)
        assert "TAILWAG_NO_SUCH_URL is not set" in desk.history()[0]["deliveries"]["desk"]["reason"]
