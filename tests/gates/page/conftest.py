"""One service for all tests of the page that a worker runs, one browser for each module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.gates.page.live_page import Served, browser_path, chromium, served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Closed with its module: while it is open, nothing else in the process may drive a browser or run a loop of its own."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def service() -> Iterator[Served]:
    browser_path()  # where there is none, nothing need be started
    with served() as running:
        yield running
