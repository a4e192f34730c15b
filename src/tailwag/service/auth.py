"""Who may do what: tokens from a private file, three roles, and the role that each route declares."""

from __future__ import annotations

import hmac
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any

from tailwag.errors import InputError

ROLE_MARK = "__tailwag_role__"
FILE_LIMIT_BYTES = 64 * 1024
SHORTEST_TOKEN = 16
RELOAD_SECONDS = 1.0
_TOKEN = re.compile(r"\A[A-Za-z0-9._~+/=-]+\Z")
SUBPROTOCOL = "tailwag.v1"
BEARER_SUBPROTOCOL = "bearer."


class Role(IntEnum):
    """Each may do what those before it may."""

    PUBLIC = 0
    """Nobody in particular: no data of the market or the desk."""
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks for: the role, and whether it changes anything."""

    role: Role
    changes: bool = False


def needs(role: Role, *, changes: bool = False) -> Callable[[Any], Any]:
    """Declare what a route asks for; a route without this is refused to everybody."""

    def declare(endpoint: Any) -> Any:
        setattr(endpoint, ROLE_MARK, Access(role, changes))
        return endpoint

    return declare


def access_of(endpoint: Any) -> Access | None:
    """What a route declared, None where it did not."""
    return getattr(endpoint, ROLE_MARK, None)


class TokenFile:
    """The tokens of a file of mode 0600, one ``role:token`` a line; read again when it changes, so that a removed token stops at once.

    Raises InputError for a file that others may read, that is no plain file, or whose lines are not ``role:token``.
    """

    def __init__(self, path: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path, self._monotonic = path, monotonic
        self._roles: dict[bytes, Role] = {}
        self._secrets: tuple[str, ...] = ()
        self._seen: tuple[int, int, int] = (0, 0, 0)
        self._looked_at = -RELOAD_SECONDS
        self._read()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The tokens, so that the log can strike them out."""
        return self._secrets

    def role_of(self, token: str) -> Role | None:
        """The role of a token, None where it is unknown; every known token is compared, in constant time."""
        self._read_again()
        given, found = _digest(token), None
        for known, role in self._roles.items():
            if hmac.compare_digest(known, given):
                found = role
        return found

    def _read_again(self) -> None:
        """A file that has become unreadable or unsafe lets nobody in."""
        now = self._monotonic()
        if now - self._looked_at < RELOAD_SECONDS:
            return
        self._looked_at = now
        try:
            if _identity(os.stat(self._path)) != self._seen:
                self._read()
        except (OSError, InputError):
            self._roles, self._seen = {}, (0, 0, 0)

    def _read(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as trouble:
            raise InputError(f"the token file cannot be opened ({trouble.strerror}); check TAILWAG_TOKEN_FILE") from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InputError("the token file is no plain file; write the tokens to a file of mode 0600")
            if stat.S_IMODE(status.st_mode) & 0o177:
                raise InputError(f"the token file has mode {stat.S_IMODE(status.st_mode):04o}, others could read it; chmod 600 it")
            data = os.read(descriptor, FILE_LIMIT_BYTES + 1)
        finally:
            os.close(descriptor)
        self._roles, self._secrets = _parsed(data)
        self._seen = _identity(status)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, stat.S_IMODE(status.st_mode)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()


def _parsed(data: bytes) -> tuple[dict[bytes, Role], tuple[str, ...]]:
    if len(data) > FILE_LIMIT_BYTES:
        raise InputError(f"the token file holds more than {FILE_LIMIT_BYTES} bytes; one role:token a line is enough")
    roles: dict[bytes, Role] = {}
    secrets: list[str] = []
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, token = line.partition(":")
        if not colon or name not in ("viewer", "operator", "admin"):
            raise InputError(f"token file line {number}: expected role:token with role viewer, operator or admin; mend that line")
        if len(token) < SHORTEST_TOKEN or not _TOKEN.match(token):
            raise InputError(
                f"token file line {number}: expected a token of {SHORTEST_TOKEN} or more letters, digits and ._~+/=-; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        if _digest(token) in roles:
            raise InputError(f"token file line {number}: this token stands there already; give each role its own")
        roles[_digest(token)] = Role[name.upper()]
        secrets.append(token)
    if not roles:
        raise InputError("the token file holds no token; write at least one line role:token")
    return roles, tuple(secrets)


def bearer_token(headers: dict[str, list[str]], *, websocket: bool) -> str | None:
    """The token that a request carries in its Authorization header, or, on a WebSocket, among its subprotocols.

    >>> bearer_token({"authorization": ["Bearer abc"]}, websocket=False)
    'abc'
    """
    given = headers.get("authorization", [])
    if given:
        scheme, _, token = given[0].partition(" ")
        return token.strip() if scheme.lower() == "bearer" and len(given) == 1 else ""
    if websocket:
        for line in headers.get("sec-websocket-protocol", []):
            for part in line.split(","):
                if part.strip().startswith(BEARER_SUBPROTOCOL):
                    return part.strip().removeprefix(BEARER_SUBPROTOCOL)
    return None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned away."""

    status: int
    sentence: str


def refusal(access: Access | None, token: str | None, tokens: TokenFile | None, *, open_reading: bool) -> Refusal | None:
    """Whether a request may go on: None if so.

    A route that declares nothing is nobody's.  On loopback (``open_reading``) what changes nothing is open, but a token that is given
    must be a good one.
    """
    if access is None:
        return Refusal(403, "this route declares no role, so nobody may use it; report this")
    if access.role is Role.PUBLIC:
        return None
    if tokens is None:
        # only a service bound to loopback starts without tokens
        return None if open_reading else Refusal(403, "no tokens are configured; set TAILWAG_TOKEN_FILE")
    if token is None:
        if open_reading and not access.changes:
            return None
        return Refusal(401, "a token is needed; send it as the header Authorization: Bearer TOKEN")
    role = tokens.role_of(token)
    if role is None:
        return Refusal(401, "this token is not known; ask whoever runs the service for one")
    if role < access.role:
        return Refusal(403, f"role {role.name.lower()} may not do this, {access.role.name.lower()} may; use another token")
    return None
