"""Where the optional real market data lies; every test here skips with a reason without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    folder = os.environ.get("TAILWAG_DATA")
    if not folder or not (Path(folder) / "INDEX.md").is_file():
        pytest.skip("set TAILWAG_DATA to the folder of real market data to run this")
    return Path(folder)
