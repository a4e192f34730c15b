"""One service for several workers: the first that needs it starts it, and stops it when the last one that uses it has gone."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gates.page.live_page import Served, served, visited


@contextmanager
def held(path: Path, how: int) -> Iterator[None]:
    """A lock that falls with its holder, however that ends."""
    with path.open("a") as file:
        fcntl.flock(file, how)
        yield


@contextmanager
def shared_service(folder: Path) -> Iterator[Served]:
    """The service of everybody who names the same folder; whoever comes after it has gone starts another."""
    address, door, users = (folder / f"page-service.{name}" for name in ("json", "door", "users"))
    with door.open("a") as entering:
        fcntl.flock(entering, fcntl.LOCK_EX)
        if address.exists():
            with held(users, fcntl.LOCK_SH), visited(**json.loads(address.read_text())) as service:
                fcntl.flock(entering, fcntl.LOCK_UN)
                yield service
            return
        with served() as service:
            address.write_text(json.dumps({"url": service.url, "path": str(service.file.path)}))
            fcntl.flock(entering, fcntl.LOCK_UN)
            try:
                yield service
            finally:
                fcntl.flock(entering, fcntl.LOCK_EX)
                address.unlink()
                with held(users, fcntl.LOCK_EX):  # until the last has gone; nobody can come meanwhile
                    fcntl.flock(entering, fcntl.LOCK_UN)
