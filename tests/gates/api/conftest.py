"""The order of this gate: the long run of the fuzzer begins first, so that everything else runs beside it and not after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gates.order import longest_first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items, Path(__file__).parent, ("test_every_answer_is_one",), quick=("test_each_would_be_found",))
