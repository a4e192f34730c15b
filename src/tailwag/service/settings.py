"""What ``tailwag serve`` may be told, and what it refuses to start with."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from tailwag.errors import InputError

TOKEN_FILE_VARIABLE = "TAILWAG_TOKEN_FILE"
SHORTEST_SECONDS, LONGEST_SECONDS = 0.05, 86_400.0
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST_NAME = re.compile(r"\A[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where the service listens, who may come, and where its data lie."""

    host: str = "127.0.0.1"
    port: int = 8765
    public_hosts: tuple[str, ...] = ()
    """Names under which browsers reach it, beside the address it is bound to."""
    token_file: str | None = None
    behind_tls: bool = False
    certificate: str | None = None
    key: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def known_hosts(self) -> frozenset[str]:
        """Every host name that a request may name; where this machine can connect, its own names too."""
        here = LOOPBACK_NAMES if self.is_loopback or self.host in EVERY_ADDRESS else frozenset()
        return self.names_beyond | here

    @property
    def names_beyond(self) -> frozenset[str]:
        """The names under which other machines reach it."""
        return frozenset(name.lower() for name in (*self.public_hosts, self.host)) - EVERY_ADDRESS


def is_loopback(host: str) -> bool:
    """Whether a bind address is of this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("localhost")
    (True, True, False, True)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_settings(settings: ServeSettings) -> ServeSettings:
    """The settings, where they are safe to start with.

    Raises InputError: a bind beyond loopback without tokens or without TLS, a host name that is none, half a certificate.
    """
    for name in (settings.host, *settings.public_hosts):
        if not (_HOST_NAME.match(name) or _is_address(name)):
            raise InputError(f"expected a host name or address, got {name[:60]!a}; such as 127.0.0.1 or desk.example.com")
    if not 0 <= settings.port <= 65_535:
        raise InputError(f"--port expects 0 to 65535, got {settings.port}; 0 takes any free port")
    if (settings.certificate is None) != (settings.key is None):
        raise InputError("--certificate and --key belong together; give both files, or neither")
    for path in (settings.certificate, settings.key):
        if path is not None and not Path(path).is_file():
            raise InputError(f"expected a PEM file, {path[:80]!a} is none; check the path")
    if not settings.is_loopback:
        _refuse_open_door(settings)
    return settings


def _refuse_open_door(settings: ServeSettings) -> None:
    if not settings.token_file:
        raise InputError(
            f"--host {settings.host} can be reached from other machines, so tokens are needed; "
            f"set {TOKEN_FILE_VARIABLE} to a file of mode 0600 with lines role:token, or bind 127.0.0.1"
        )
    if not (settings.behind_tls or settings.certificate):
        raise InputError(
            f"--host {settings.host} would send tokens in the clear; give --certificate and --key, "
            "or --behind-tls where a proxy in front encrypts, or bind 127.0.0.1"
        )
    if not settings.names_beyond:
        raise InputError(
            f"--host {settings.host} names no host that a browser could ask for; say it with --public-host such as desk.example.com"
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def token_file_from_environment() -> str | None:
    """The token file that the environment names, None where it names none."""
    return os.environ.get(TOKEN_FILE_VARIABLE) or None


def checked_every(seconds: float | None) -> float | None:
    """Seconds between two turns, refused where no clock could keep them.

    Raises InputError.
    """
    if seconds is not None and not (math.isfinite(seconds) and SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS):
        raise InputError(
            f"--every expects {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} seconds, got {seconds:g}; leave it out for the usual pace"
        )
    return seconds
