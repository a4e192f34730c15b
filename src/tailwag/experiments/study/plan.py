"""The analysis plan: read from the package, named by its digest, checked against nothing but itself."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

FILE = "plan.toml"


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """What was decided before outcomes were read; ``digest`` is the SHA-256 of the file, in hexadecimal."""

    digest: str
    content: dict[str, Any]

    def hypothesis(self, name: str) -> dict[str, Any]:
        """The primary or a secondary hypothesis by its name; KeyError for another."""
        rows = [self.content["primary"], *self.content["secondary"]]
        found = [row for row in rows if row["name"] == name]
        if not found:
            raise KeyError(name)
        return dict(found[0])


def analysis_plan() -> AnalysisPlan:
    """The plan that comes with this version.

    >>> analysis_plan().hypothesis("reversal")["predicted"]
    1
    """
    raw = files(__package__).joinpath(FILE).read_bytes()
    return AnalysisPlan(hashlib.sha256(raw).hexdigest(), tomllib.loads(raw.decode()))
