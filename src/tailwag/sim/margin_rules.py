"""Margin that follows the measured loop gain: a rule for lenders with notice, and an integral controller with its own test of stability."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class DynamicMargin:
    """Maintenance margin times 1 + ``per_gain`` x (measured gain - ``threshold``), from 1 up to ``most``, ``notice_steps`` after it was announced.

    The gain is that of everybody at the cleared price (dealers and what the next unit of price liquidates).  A factor that rises calls accounts
    whose price has not moved: the rule may liquidate by itself.

    >>> rule = DynamicMargin(threshold=0.2, per_gain=2.0, most=3.0, notice_steps=1)
    >>> rule.factor(np.array([0.1, 0.45, 5.0])).tolist()
    [1.0, 1.5, 3.0]

    Raises InputError for a threshold, slope or notice below 0, or a largest factor below 1.
    """

    threshold: float
    per_gain: float
    most: float
    notice_steps: int

    def __post_init__(self) -> None:
        for name in ("threshold", "per_gain", "notice_steps"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise InputError(f"expected {name} of 0 or more, got {getattr(self, name)}")
        if not 1.0 <= self.most <= 1000.0 or int(self.notice_steps) != self.notice_steps:
            raise InputError(f"expected most from 1 to 1,000 and whole notice_steps, got {self.most:g} and {self.notice_steps}")

    def factor(self, gain: FloatArray) -> FloatArray:
        """The factor that a gain announces, (paths,)."""
        return np.asarray(np.clip(1.0 + self.per_gain * (gain - self.threshold), 1.0, self.most))

    def silent(self, paths: int) -> FloatArray:
        """Nothing announced yet, (notice_steps, paths)."""
        return np.ones((self.notice_steps, paths))

    def announced(self, waiting: FloatArray, gain: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The factor in force from the next step on, and what has been announced and waits."""
        queue = np.vstack((waiting, self.factor(gain)))
        return queue[0], queue[1:]


@dataclass(frozen=True, slots=True)
class IntegralControl:
    """A margin u that hedgers post for what they trade: raised every ``every_steps`` by ``integral`` x (measured gain - ``target``), from 1 to ``most``.

    With a line of capital of fixed size they close 1 / u of their gap in a step, so that their gain in the step is g0 / u.  The controller rests at
    u = g0 / (target - others).  A decision is in force ``notice`` decisions later.

    >>> rule = IntegralControl(target=0.3, integral=2.0, every_steps=1)
    >>> round(rule.pole(0.6), 3), rule.settles(0.6), round(rule.largest_integral(0.6), 2)
    (0.7, True, 13.33)

    Raises InputError for a target outside (0, 1), an integral of 0 or less, or counts that are no counts.
    """

    target: float
    integral: float
    every_steps: int
    most: float = 100.0
    notice: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.target < 1.0 or not (math.isfinite(self.integral) and self.integral > 0.0) or not self.most >= 1.0:
            raise InputError(
                f"expected target in (0, 1), integral above 0 and most of 1 or more, got {self.target}, {self.integral}, {self.most}"
            )
        if self.every_steps < 1 or self.notice < 0 or int(self.every_steps) != self.every_steps or int(self.notice) != self.notice:
            raise InputError(f"expected every_steps of 1 or more and notice of 0 or more, got {self.every_steps} and {self.notice}")

    def sensitivity(self, hedged_gain: float, others_gain: float = 0.0) -> float:
        """Change of the measured gain per unit of u where the controller rests: -(target - others)^2 / g0; 0 where it never acts."""
        room = self.target - others_gain
        rests = hedged_gain / room if room > 0.0 else math.inf
        return -room * room / hedged_gain if 1.0 < rests <= self.most else 0.0

    def pole(self, hedged_gain: float, others_gain: float = 0.0) -> float:
        """Largest absolute value of a pole of the closed loop, z^(n+1) - z^n = integral x sensitivity; below 1 deviations die out."""
        push = self.integral * self.sensitivity(hedged_gain, others_gain)
        if push == 0.0:
            return 0.0
        polynomial = np.concatenate(([1.0, -1.0], np.zeros(self.notice)))
        polynomial[-1] -= push
        return float(np.abs(np.roots(polynomial)).max())

    def settles(self, hedged_gain: float, others_gain: float = 0.0) -> bool:
        """Whether small deviations die out."""
        return self.pole(hedged_gain, others_gain) < 1.0

    def largest_integral(self, hedged_gain: float, others_gain: float = 0.0) -> float:
        """From which ``integral`` on deviations grow: 2 sin(pi / (4 n + 2)) / |sensitivity| for n decisions of notice; infinite where it never acts."""
        slope = -self.sensitivity(hedged_gain, others_gain)
        return 2.0 * math.sin(math.pi / (4 * self.notice + 2)) / slope if slope > 0.0 else math.inf

    def next_margin(self, margin: FloatArray, gain: FloatArray) -> FloatArray:
        """The margin decided after a measurement, (paths,)."""
        return np.asarray(np.clip(margin + self.integral * (gain - self.target), 1.0, self.most))
