"""One service for all tests of the page, whichever worker runs them, and one browser for each module of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates.order import longest_first
from tests.gates.page.live_page import Served, browser_path, chromium
from tests.gates.page.shared_service import shared_service


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(
        items, Path(__file__).parent, ("test_no_rule_of_accessibility", "test_a_source_that_falls_silent"), quick=("test_nothing_scrolls",)
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Closed with its module: while it is open, nothing else in the process may drive a browser or run a loop of its own."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Served]:
    browser_path()  # where there is none, nothing need be started
    own = tmp_path_factory.getbasetemp()
    with shared_service(own.parent if hasattr(request.config, "workerinput") else own) as running:
        yield running
