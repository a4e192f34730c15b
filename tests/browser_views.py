"""How a page is looked at: at a desk in the light and on a phone in the dark in every run, the other way round where tests may take long."""

from __future__ import annotations

import pytest

VIEWS = pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(390, "light", marks=pytest.mark.slow),
    ],
)
