"""The command line in this process: what a user's shell would see, without the cost of a new interpreter for every call."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailwag.cli import main

COMPILES = "tailwag: compiling the numerical kernels, once after installation (about half a minute)\n"
"""What whoever comes first after installation is told besides; a message of its own."""


@dataclass(frozen=True)
class Outcome:
    """Exit status and both streams of one call."""

    code: int
    out: bytes
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON on stdout, read strictly."""
        assert self.code == 0, self.err
        return strict(self.out)


def strict(text: bytes | str) -> Any:
    """JSON without NaN, Infinity or a key twice."""

    def refused(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs), "a key twice"
        return dict(pairs)

    return json.loads(text, parse_constant=refused, object_pairs_hook=once)


def tailwag(*words: str | Path) -> Outcome:
    """Run ``tailwag WORDS``; whatever is raised instead of an exit status is a failure of the command."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:
        sys.stdout, sys.stderr = before
    out.flush()
    err.flush()
    return Outcome(code, out.buffer.getvalue(), err.buffer.getvalue().decode())


def measured(*words: str | Path) -> dict[str, Any]:
    """The document of ``tailwag measure WORDS --json -``."""
    return tailwag("measure", *words, "--json", "-").document


def refused(*words: str | Path) -> str:
    """What a call that must exit 2 says: one message on stderr, nothing on stdout, no traceback."""
    outcome = tailwag(*words)
    assert outcome.code == 2, (outcome.code, outcome.out[:300], outcome.err[:300])
    assert outcome.out == b""
    assert outcome.err.strip()
    assert "Traceback" not in outcome.err
    return outcome.err.removeprefix(COMPILES)
