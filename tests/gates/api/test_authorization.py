"""G12: every cell of the matrix: each route of the application by each credential, origin and host, guarded and on loopback."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.service.authorization import (
    CREDENTIALS,
    DECLARED,
    HOSTS,
    ORIGINS,
    Cell,
    guarded_service,
    loopback_service,
    routes_of,
    wrong_cells,
)


def all_cells() -> list[Cell]:
    return [(*route, *rest) for route, *rest in product(DECLARED, CREDENTIALS, ORIGINS, HOSTS)]


@pytest.mark.parametrize("place", ["guarded", "loopback"])
def test_every_cell_is_answered_as_declared(place: str, tmp_path: Path) -> None:
    cells = all_cells()
    chosen = random.Random(gate_seed()).sample(cells, min(gate_size(small=500, full=len(cells)), len(cells)))
    with {"guarded": guarded_service, "loopback": loopback_service}[place](tmp_path) as live:
        assert set(routes_of(live.app)) == set(DECLARED), "a route that the matrix does not know"
        assert wrong_cells(live, chosen, open_reading=place == "loopback") == []
