"""Whom to tell: named channels whose addresses are secrets, and never shown."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike

from tailwag.errors import InputError
from tailwag.experiments.scenario_tables import Table
from tailwag.service.alerts.alert import SEVERITIES, Severity
from tailwag.sources.opening import read_file

MOST_CHANNELS = 16
_NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,39}\Z")
_VARIABLE = re.compile(r"\A[A-Z][A-Z0-9_]{0,79}\Z")
_WAYS = ("url", "url_env", "url_file")


@dataclass(frozen=True, slots=True)
class Channel:
    """One way out: a name that may be shown, and where its address stands, which may not (it is a key to somebody's chat or mail)."""

    name: str
    least_severity: Severity = "info"
    url: str | None = field(default=None, repr=False)
    url_env: str | None = None
    url_file: str | None = None

    def wants(self, severity: str) -> bool:
        """Whether this channel takes alerts of this severity.

        >>> Channel("desk", least_severity="warning").wants("info")
        False
        """
        return SEVERITIES.index(severity) >= SEVERITIES.index(self.least_severity)

    def address(self, environment: Mapping[str, str] | None = None) -> str:
        """The address itself.

        Raises InputError, without a word of the address, where the variable is not set or the file cannot be used.
        """
        if self.url is not None:
            return self.url
        if self.url_env is not None:
            found = (os.environ if environment is None else environment).get(self.url_env, "").strip()
            if not found:
                raise InputError(
                    f"channel {self.name}: the environment variable {self.url_env} is not set; set it to the channel's address"
                )
            return found
        return _from_file(self.name, self.url_file or "")


def read_channels(top: Table, path: str | PathLike[str] | None) -> tuple[Channel, ...]:
    """The [[channel]] tables of a settings file; ``path`` is where it lies.

    Raises InputError for a channel without a name, without exactly one address, or with an address that others may read.
    """
    if not isinstance(top.values.get("channel", []), list):
        raise top.refuse("expected each channel as a table [[channel]]; what came is not shown, it may be a secret")
    tables = top.tables("channel")
    if len(tables) > MOST_CHANNELS:
        raise top.refuse(f"expected at most {MOST_CHANNELS} channels, got {len(tables)}")
    found = tuple(_channel(table) for table in tables)
    names = [channel.name for channel in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise top.refuse(f"two channels are called {twice}; a name says which of them delivered, so give each its own")
    if path is not None and any(channel.url is not None for channel in found):
        refuse_if_others_read(path, f"{top.place} holds the address of a channel")
    return found


def refuse_if_others_read(path: str | PathLike[str], what: str) -> None:
    """Refuse a file with a secret in it that people other than its owner may read."""
    if os.name != "posix":
        return
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o077:
        raise InputError(f"{what} and has mode {mode:04o}, so others can read it; chmod 600 it, or name the address by url_env or url_file")


def _channel(table: Table) -> Channel:
    table.only("name", "least_severity", *_WAYS)
    name = table.text("name", hint="expected the channel's name, such as desk-slack")
    if not _NAME.match(name):
        raise table.refuse("expected name of up to 40 of a-z, 0-9 and -, such as desk-slack; what came is not shown, it may be a secret")
    given = [way for way in _WAYS if way in table]
    if len(given) != 1:
        raise table.refuse(f"expected one of {', '.join(_WAYS)} for {name}, got {' and '.join(given) or 'none'}")
    value = table.values[given[0]]
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise table.refuse(f"expected {given[0]} of {name} as a text in quotes; what came is not shown, it may be a secret")
    if given[0] == "url_env" and not _VARIABLE.match(value):
        raise table.refuse(f"expected url_env of {name} as the name of an environment variable such as DESK_URL, not as the address itself")
    least = table.text("least_severity", "info", choices=SEVERITIES)
    return Channel(name, least, **{given[0]: value.strip()})  # type: ignore[arg-type]  # one of the choices


def _from_file(name: str, path: str) -> str:
    if not os.path.isfile(path):
        raise InputError(f"channel {name}: url_file names no file; write the address into it and chmod 600 it")
    refuse_if_others_read(path, f"channel {name}: the file that url_file names holds an address")
    lines = read_file(path, limit_bytes=4096).data.decode("utf-8", "replace").split()
    if len(lines) != 1:
        raise InputError(f"channel {name}: expected one address in the file that url_file names, got {len(lines)} words")
    return lines[0]
