"""A few words to the service manager that started the process: ready, still alive, stopping (systemd's notify protocol, one datagram each)."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
NEEDED_THREADS = frozenset({"tailwag measure", "tailwag watch"})


def tell(words: str) -> bool:
    """Send words to the manager that ``NOTIFY_SOCKET`` names; False where there is none, or it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as wire:
            wire.setblocking(False)
            wire.sendto(words.encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        return False
    return True


def watchdog_seconds() -> float | None:
    """How long the manager waits for a sign of life before it restarts the process, None where it does not watch."""
    text, owner = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isascii() or not text.isdigit() or int(text) == 0 or owner not in ("", str(os.getpid())):
        return None
    return int(text) / 1e6


def is_working() -> bool:
    """Whether the threads that measure and watch are there: a web server without them would show old numbers for ever."""
    return {thread.name for thread in threading.enumerate() if thread.is_alive()} >= NEEDED_THREADS


async def give_signs(every_seconds: float, *, working: Callable[[], bool] = is_working) -> None:
    """Give a sign of life each time the event loop comes round, as long as the work is done; for ever."""
    while True:
        if working():
            tell(ALIVE)
        await asyncio.sleep(every_seconds)
