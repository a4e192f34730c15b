"""Which code made a number: one hash over every source file of this package."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import tailwag


@lru_cache
def code_hash() -> str:
    """The first 16 hex digits of the SHA-256 over names and bytes of the package's Python files.

    >>> len(code_hash())
    16
    """
    root = Path(tailwag.__file__).parent
    seal = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        seal.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return seal.hexdigest()[:16]
