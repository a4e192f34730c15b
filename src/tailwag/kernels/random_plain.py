"""The random numbers once more in plain NumPy, path by path and without any trick: what the compiled code must agree with.

The 64 random bits are equal; normals come from NumPy's logarithm, sine and cosine and agree to the last digit or two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.random import KEY_STEP_0, KEY_STEP_1, MULTIPLIER_0, MULTIPLIER_1, NORMAL, ROUNDS, UNIFORM, stream_key

Bits = NDArray[np.uint64]

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
TO_CELL = np.uint64(12)
CELL = 2.0**-52


def plain_bits(seed: int, stream: int, paths: Bits, step: int, draw: int, *, kind: np.uint64) -> tuple[Bits, Bits]:
    """Both 64-bit words of Philox4x32-10 that belong to the pair of each of these paths."""
    key = stream_key(seed, stream)
    pair = paths >> np.uint64(1)
    words = [pair & LOW, pair >> HALF, np.full_like(pair, step), np.full_like(pair, np.uint64(draw) | kind)]
    keys = [key & LOW, key >> HALF]
    for _ in range(ROUNDS):
        left, right = MULTIPLIER_0 * words[0], MULTIPLIER_1 * words[2]
        words = [(right >> HALF) ^ words[1] ^ keys[0], right & LOW, (left >> HALF) ^ words[3] ^ keys[1], left & LOW]
        keys = [(keys[0] + KEY_STEP_0) & LOW, (keys[1] + KEY_STEP_1) & LOW]
    return (words[0] << HALF) | words[1], (words[2] << HALF) | words[3]


def plain_uniforms(seed: int, stream: int, first_path: int, paths: int, step: int, draws: int) -> FloatArray:
    """:func:`tailwag.kernels.random.uniforms`, bit for bit.

    >>> from tailwag.kernels.random import uniforms
    >>> bool((plain_uniforms(7, 3, 5, 6, 1, 2) == uniforms(7, 3, 5, 6, 1, 2)).all())
    True
    """
    rows = [uniform_row(seed, stream, first_path, paths, step, draw) for draw in range(draws)]
    return np.array(rows).reshape(draws, paths)


def plain_normals(seed: int, stream: int, first_path: int, paths: int, step: int, draws: int) -> FloatArray:
    """:func:`tailwag.kernels.random.normals` to about 1e-15.

    >>> from tailwag.kernels.random import normals
    >>> float(abs(plain_normals(7, 3, 5, 6, 1, 2) - normals(7, 3, 5, 6, 1, 2)).max()) < 1e-15
    True
    """
    rows = [normal_row(seed, stream, first_path, paths, step, draw) for draw in range(draws)]
    return np.array(rows).reshape(draws, paths)


def uniform_row(seed: int, stream: int, first_path: int, paths: int, step: int, draw: int) -> FloatArray:
    """One draw: the even path of a pair takes the first word, the odd one the second."""
    path = np.arange(first_path, first_path + paths, dtype=np.uint64)
    even, odd = plain_bits(seed, stream, path, step, draw, kind=UNIFORM)
    return _open_unit(np.where(path % 2 == 0, even, odd))


def normal_row(seed: int, stream: int, first_path: int, paths: int, step: int, draw: int) -> FloatArray:
    """One draw: sqrt(-2 ln u) cos(2 pi v) for the even path of a pair, the sine for the odd one."""
    path = np.arange(first_path, first_path + paths, dtype=np.uint64)
    first, second = plain_bits(seed, stream, path, step, draw, kind=NORMAL)
    turns = _open_unit(second)
    quarter = np.rint(4.0 * turns)
    angle = (4.0 * turns - quarter) * (np.pi / 2.0)  # the quarter turns are taken off before rounding can touch the angle
    turned = quarter.astype(np.int64) % 4
    cosine = np.choose(turned, [np.cos(angle), -np.sin(angle), -np.cos(angle), np.sin(angle)])
    sine = np.choose(turned, [np.sin(angle), np.cos(angle), -np.sin(angle), -np.cos(angle)])
    return np.asarray(np.sqrt(-2.0 * np.log(_open_unit(first))) * np.where(path % 2 == 0, cosine, sine))


def _open_unit(bits: Bits) -> FloatArray:
    return np.asarray(((bits >> TO_CELL).astype(np.float64) + 0.5) * CELL)
