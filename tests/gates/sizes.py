"""Seed and size of a gate: small where CI runs it, full under its own make target, anything else from the environment."""

from __future__ import annotations

import os


def gate_seed() -> int:
    """``TAILWAG_GATE_SEED``, 1 where it is not set."""
    return int(os.environ.get("TAILWAG_GATE_SEED", "1"))


def gate_size(*, small: int, full: int) -> int:
    """``TAILWAG_GATE_SIZE``: a number, or ``full``; the small size where it is not set."""
    asked = os.environ.get("TAILWAG_GATE_SIZE", "")
    return small if not asked else full if asked == "full" else int(asked)
