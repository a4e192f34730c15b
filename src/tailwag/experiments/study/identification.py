"""Which signs of dealers' positions returns can tell apart: the gain of each part of the book, with its sign left to the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.study.inference import Design, Estimate, robust_fit
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns
from tailwag.experiments.study.reversal import GAIN, GROSS, reversal_design
from tailwag.kernels.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Contrast:
    """One sum of signs that the data see on its own: ``weights`` by part (squares sum to 1), its estimate, and the share of all information."""

    weights: dict[str, float]
    estimate: Estimate
    information: float


@dataclass(frozen=True, slots=True)
class Identification:
    """The sign of each part (1: dealers short all of it, -1: long all of it), and the sums of signs that can be told apart, best first.

    ``correlation`` (parts, parts): of the parts' columns once the controls are taken out; near 1 says that two parts rise and fall together.
    """

    signs: tuple[Estimate, ...]
    contrasts: tuple[Contrast, ...]
    correlation: FloatArray


def identification(known: Known, returns: Returns, parts: dict[str, FloatArray], *, most_age_hours: float, block_ns: int) -> Identification:
    """The primary regression with the gross gain of each part, (rows of the panel,) each, instead of the gain: the coefficients are signs.

    Depth is taken from outside: with the true depth 1 is short and -1 long; a depth twice too deep doubles all of them alike.  The sum of the parts is the
    gross gain, so its control is left out.  InputError for parts that say the same.
    """
    if len(parts) < 2:
        raise InputError(f"expected two parts of the book at least, got {len(parts)}")
    base = reversal_design(known, returns, most_age_hours=most_age_hours)
    row = np.maximum(known.row_at(np.asarray(base.time_ns, dtype=np.int64), most_age_hours=most_age_hours), 0)
    x = _present_return(base)
    others = [place for place, name in enumerate(base.names) if name not in (GAIN, GROSS)]
    columns = np.column_stack([*(part[row] * x for part in parts.values()), base.regressors[:, others]])
    design = Design(base.outcome, columns, (*parts, *(base.names[place] for place in others)), base.time_ns, base.left_out)
    count = len(parts)
    cleaned = _cleaned(columns[:, :count], columns[:, count:])
    size = np.sqrt((cleaned**2).sum(axis=0))
    information, directions = np.linalg.eigh(cleaned.T @ cleaned)
    order = np.argsort(information)[::-1]
    contrasts = tuple(
        Contrast(
            {name: float(weight) for name, weight in zip(parts, directions[:, place])},
            _along(design, directions[:, place], count, block_ns),
            float(information[place] / information.sum()),
        )
        for place in order
    )
    return Identification(robust_fit(design, block_ns=block_ns)[:count], contrasts, (cleaned / size).T @ (cleaned / size))


def _present_return(base: Design) -> FloatArray:
    """The present return is the sum of its columns by hour of the day."""
    hours = [place for place, name in enumerate(base.names) if name.startswith("return, ")]
    x: FloatArray = base.regressors[:, hours].sum(axis=1)
    return x


def _cleaned(columns: FloatArray, controls: FloatArray) -> FloatArray:
    """What the controls do not say of the columns."""
    basis = np.linalg.qr(controls)[0]
    return np.asarray(columns - basis @ (basis.T @ columns))


def _along(design: Design, direction: FloatArray, count: int, block_ns: int) -> Estimate:
    """The sum of signs along a direction: the regression in turned columns, whose coefficients are the turned signs."""
    turned = _turn(direction)
    columns = np.column_stack([design.regressors[:, :count] @ turned, design.regressors[:, count:]])
    names = ("sum of signs", *(f"other sum {place}" for place in range(1, count)), *design.names[count:])
    return robust_fit(Design(design.outcome, columns, names, design.time_ns, design.left_out), block_ns=block_ns)[0]


def _turn(direction: FloatArray) -> FloatArray:
    """An orthogonal matrix whose first column is the direction."""
    basis: FloatArray = np.linalg.qr(np.column_stack([direction, np.eye(direction.size)]))[0][:, : direction.size]
    return basis * np.sign(basis[:, 0] @ direction)
