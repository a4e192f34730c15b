"""One service and one browser for all tests of the page that a worker runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.gates.page.live_page import Served, chromium, served


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def service(browser: Any) -> Iterator[Served]:
    """After the browser: where there is none, nothing need be started."""
    with served() as running:
        yield running
