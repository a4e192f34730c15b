"""The plain twins of `tailwag.kernels.hedge_band`: one array operation after another."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray


def plain_outside(gap: FloatArray, half_width: FloatArray, *, to_edge: bool) -> tuple[BoolArray, FloatArray]:
    active = np.abs(gap) > half_width
    offset = np.copysign(half_width, gap) if to_edge else np.zeros(gap.shape)
    return active, np.where(active, offset, 0.0)  # an infinite band must not become inf * 0


def plain_speed(active: BoolArray, live: BoolArray, speed: FloatArray, factor: float) -> tuple[BoolArray, FloatArray]:
    return active & live, np.where(active & live, speed * factor, 0.0)
