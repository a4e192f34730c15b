"""The order of this gate: its two days begin first, each on a worker of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gates.order import longest_first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items, Path(__file__).parent, ("test_a_day_of_a_bad_exchange", "test_many_seeds"), quick=("test_the_oracle",))
