"""What was known when: the columns of a panel under one set of assumptions, and which row stands at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.units import NS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Known:
    """Rows of a panel that could be used, by the time they were known.  Shapes: all (rows,), ``known_ns`` rising; NaN where a row has no figure.

    ``gain``: short gamma is above 0.  ``gross_gain``: of all options' gamma without sign.  ``expiring_gain``, ``expiring_gross_gain``: the parts that end at
    ``next_expiry_ns``.  Vols are decimals a year.  ``near_strike_usd``: the strike with the most open interest of the next expiry near spot.
    ``parts``: the gross gain by right and side of spot, where the panel says it.
    """

    known_ns: IntArray
    gain: FloatArray
    gross_gain: FloatArray
    expiring_gain: FloatArray
    expiring_gross_gain: FloatArray
    next_expiry_ns: IntArray
    spot_usd: FloatArray
    atm_iv_1d: FloatArray
    atm_iv_7d: FloatArray
    near_strike_usd: FloatArray
    parts: dict[str, FloatArray] = field(default_factory=dict)

    def row_at(self, time_ns: IntArray, *, most_age_hours: float) -> IntArray:
        """Index of the last row known by each time, (times,); -1 where there is none, or none younger than that.

        >>> import numpy as np
        >>> nothing = np.zeros(2)
        >>> rows = Known(np.array([0, 10]), *[nothing] * 9)
        >>> rows.row_at(np.array([-1, 0, 9, 10, 10**15]), most_age_hours=1.0).tolist()
        [-1, 0, 0, 1, -1]
        """
        place = np.searchsorted(self.known_ns, time_ns, side="right") - 1
        age = time_ns - self.known_ns[np.maximum(place, 0)]
        return np.where((place >= 0) & (age <= most_age_hours * NS_PER_HOUR), place, -1)
