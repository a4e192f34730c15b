"""How impact fades with age: kernels, each with its closed double integral, which is all that the cost of a strategy needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, frozen

CLOSED_FORM_ACCURACY = 1e-9


class Decay(Protocol):
    """How impact fades with age; one verb, the share left integrated twice over age."""

    @property
    def name(self) -> str:
        """The kernel in words."""
        ...

    @property
    def scale(self) -> float | None:
        """The age at which the kernel bends, None if it looks alike at every age."""
        ...

    @property
    def fades_evenly(self) -> bool:
        """Whether the kernel is completely monotone (a mixture of exponentials): then no round trip pays under linear impact."""
        ...

    @property
    def accuracy(self) -> float:
        """The share of cost to which ``twice_integrated`` is good; a round trip must earn more than this to count."""
        ...

    def twice_integrated(self, age: FloatArray) -> FloatArray:
        """H(t) = integral over 0 .. t of (t - s) G(s) ds."""
        ...


@dataclass(frozen=True, slots=True)
class NoDecay:
    """Impact that stays: G = 1, H = t^2 / 2."""

    @property
    def name(self) -> str:
        """In words."""
        return "impact that stays"

    @property
    def scale(self) -> None:
        """Alike at every age."""
        return None

    @property
    def fades_evenly(self) -> bool:
        """A constant is the slowest exponential."""
        return True

    @property
    def accuracy(self) -> float:
        """A closed form."""
        return CLOSED_FORM_ACCURACY

    def twice_integrated(self, age: FloatArray) -> FloatArray:
        """H = t^2 / 2."""
        return 0.5 * age * age


@dataclass(frozen=True, slots=True)
class ExponentialDecay:
    """Impact that halves every ``half_life``: G = 2^(-t / half_life).  Any unit of time."""

    half_life: float

    def __post_init__(self) -> None:
        _positive("half_life", self.half_life)

    @property
    def name(self) -> str:
        """In words."""
        return "exponentially fading impact"

    @property
    def scale(self) -> float:
        """The mean life."""
        return self.half_life / math.log(2.0)

    @property
    def fades_evenly(self) -> bool:
        """It is itself an exponential."""
        return True

    @property
    def accuracy(self) -> float:
        """A closed form."""
        return CLOSED_FORM_ACCURACY

    def twice_integrated(self, age: FloatArray) -> FloatArray:
        """H = (e^-z - 1 + z) / rate^2 with z = rate t."""
        z = age / self.scale
        return np.asarray((np.expm1(-z) + z) * self.scale**2)


@dataclass(frozen=True, slots=True)
class PowerDecay:
    """Impact that fades as a power: G = t^-exponent (``unit`` 0, without scale) or (1 + t / unit)^-exponent (finite at age zero).

    RuleError for an exponent that is not above 0, or at least 1 without a unit: impact would be infinite.
    """

    exponent: float
    unit: float = 0.0

    def __post_init__(self) -> None:
        _positive("exponent", self.exponent)
        if not (math.isfinite(self.unit) and self.unit >= 0.0):
            raise RuleError(f"expected a unit of 0 or more, got {self.unit}; 0 means t^-exponent without a scale")
        if self.unit == 0.0 and self.exponent >= 1.0:
            raise RuleError(f"expected an exponent below 1 for t^-exponent, got {self.exponent}; steeper decay needs a unit above 0")

    @property
    def name(self) -> str:
        """In words."""
        return f"impact fading with power {self.exponent:g}"

    @property
    def scale(self) -> float | None:
        """The unit, None without one."""
        return self.unit or None

    @property
    def fades_evenly(self) -> bool:
        """Every such power is a mixture of exponentials."""
        return True

    @property
    def accuracy(self) -> float:
        """A closed form."""
        return CLOSED_FORM_ACCURACY

    def twice_integrated(self, age: FloatArray) -> FloatArray:
        """H = t^(2-g) / ((1-g)(2-g)); with a unit, u^2 ((1+z)^(2-g) - 1 - (2-g) z) / ((1-g)(2-g)), and its limits at g = 1 and 2."""
        power = 2.0 - self.exponent
        if self.unit == 0.0:
            return np.asarray(age**power / ((power - 1.0) * power))
        z = age / self.unit
        if abs(power - 1.0) < 1e-9:
            return np.asarray(self.unit**2 * ((1.0 + z) * np.log1p(z) - z))
        if abs(power) < 1e-9:
            return np.asarray(self.unit**2 * (z - np.log1p(z)))
        return np.asarray(self.unit**2 * (np.expm1(power * np.log1p(z)) - power * z) / ((power - 1.0) * power))


@dataclass(frozen=True, slots=True)
class GivenDecay:
    """A kernel of your own: ``share_left`` maps ages (n,) to shares (n,), read once at 4,096 ages and joined by straight lines.

    ``scale`` is the age around which it bends; ages from 1e-8 to 1e4 scales are read, and the kernel is level outside them.  Nothing is
    assumed about its shape, so its verdict rests on the search alone, to 0.01 % of cost.  RuleError if a share is not a finite number.
    """

    share_left: Callable[[FloatArray], FloatArray]
    scale: float = 1.0
    name: str = "the given impact kernel"
    _ages: FloatArray = field(init=False, repr=False, compare=False)
    _table: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _positive("scale", self.scale)
        read = self.scale * np.geomspace(1e-8, 1e4, 4096)
        shares = np.asarray(self.share_left(read), dtype=np.float64)
        if shares.shape != read.shape or not np.isfinite(shares).all():
            raise RuleError("expected a kernel that gives one finite share for every age above 0, got something else; mend share_left")
        ages, shares = np.concatenate([[0.0], read]), np.concatenate([shares[:1], shares])
        step, rise = np.diff(ages), np.diff(shares)
        once = np.concatenate([[0.0], np.cumsum(step * (shares[:-1] + 0.5 * rise))])
        twice = np.concatenate([[0.0], np.cumsum(step * (once[:-1] + step * (0.5 * shares[:-1] + rise / 6.0)))])
        slope = np.concatenate([rise / step, [0.0]])
        object.__setattr__(self, "_ages", frozen(ages))
        object.__setattr__(self, "_table", frozen([twice, once, 0.5 * shares, slope / 6.0]))

    @property
    def accuracy(self) -> float:
        """What the straight lines may cost."""
        return 1e-4

    @property
    def fades_evenly(self) -> bool:
        """Unknown, hence not assumed."""
        return False

    def twice_integrated(self, age: FloatArray) -> FloatArray:
        """H, exactly for the joined kernel: a cubic between two ages."""
        place = np.searchsorted(self._ages, age, side="right") - 1
        past = age - self._ages[place]
        twice, once, half, sixth = self._table[:, place]
        return np.asarray(twice + past * (once + past * (half + past * sixth)))


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise RuleError(f"expected {name} above 0, got {value}; state how impact fades and grows with positive numbers")
