"""The order of this gate: the long run of the fuzzer begins first, so that everything else runs beside it and not after it."""

from __future__ import annotations

from pathlib import Path

import pytest

LONG, SHORT = "test_every_answer_is_one_that_the_description_promises", "test_each_would_be_found"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of this folder alone: the fuzzer, then what takes no time, then the rest; workers take the tests from the front, a few at once."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    ranked = sorted((items[place] for place in places), key=lambda item: {LONG: 0, SHORT: 1}.get(item.name.partition("[")[0], 2))
    for place, item in zip(places, ranked, strict=True):
        items[place] = item
