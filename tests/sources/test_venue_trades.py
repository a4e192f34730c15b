"""Option trades in a live reply: nothing traded is an answer, another shape is not."""

from __future__ import annotations

import pytest

from tailwag.errors import FileFormatError
from tailwag.sources.venue_trades import deribit_trades


def test_a_quiet_moment_is_no_doubt() -> None:
    assert len(deribit_trades({"result": {"trades": [], "has_more": False}})) == 0


@pytest.mark.parametrize("reply", [None, {}, {"result": []}, {"result": {"trades": None}}, {"result": {"trades": [7]}}])
def test_another_shape_is_refused(reply: object) -> None:
    with pytest.raises(FileFormatError, match="expected a list of trades"):
        deribit_trades(reply)
