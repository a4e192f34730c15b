"""Random numbers without a state: each is a function of (seed, stream, path, step, draw), so no split into blocks can change one.

The generator is Philox4x32-10 of Salmon, Moraes, Dror and Shaw 2011 ("Parallel random numbers: as easy as 1, 2, 3"): ten rounds of
multiply and swap scramble a 128-bit counter under a 64-bit key. Seed and stream make the key; the counter is

    word 0, 1: the pair of paths (path // 2), low and high 32 bits     word 2: the step
    word 3:    the draw, with its highest bit set for uniforms         (so a stream's normals and uniforms are independent)

One call yields 128 bits, which two neighbouring paths share: two uniforms, or the two normals of Box and Muller 1958. Everything is plain
IEEE arithmetic in a fixed order, without fused multiply-adds and without a library's sine: the same bits on every machine, whether a
path was computed inside a vector or alone.
"""

from __future__ import annotations

import hashlib
import math
import operator
from functools import lru_cache

import numpy as np
from numba import njit

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.normal import exponential, log_ratio

# Strict: no licence to fuse or reorder, so vector and scalar code round alike. It must be said: a function without a word on it inherits
# the licence of whichever caller happens to compile it first, and numba then keeps that version in its cache for everybody.
compiled = njit(error_model="numpy", fastmath=False, nogil=True, cache=True)
inlined = njit(error_model="numpy", fastmath=False, forceinline=True)

strict_exponential = inlined(exponential.py_func)
strict_log_ratio = inlined(log_ratio.py_func)

U64 = np.uint64
LOW_32 = U64(0xFFFFFFFF)
HALF = U64(32)
ONE = U64(1)
MULTIPLIER_0, MULTIPLIER_1 = U64(0xD2511F53), U64(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = U64(0x9E3779B9), U64(0xBB67AE85)
ROUNDS = 10
UNIFORM = U64(1 << 31)
NORMAL = U64(0)
TO_MANTISSA = U64(12)
ONE_BITS = U64(0x3FF0000000000000)
HALF_SPACING = 2.0**-53
STREAM_STEP = 0x9E3779B97F4A7C15  # odd, so that streams of one seed never share a key
MOST = {"stream": 1 << 64, "first_path": 1 << 62, "paths": 1 << 62, "step": 1 << 32, "draws": 1 << 31}

ROUNDING = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer and leaves that integer in the low bits
HALF_PI = math.pi / 2.0
SINE = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(1, 9))  # Taylor on [-pi/4, pi/4], remainder below 1e-18
COSINE = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(2, 10))


@inlined
def philox(word_0: np.uint64, word_1: np.uint64, word_2: np.uint64, word_3: np.uint64, key: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The 128 random bits of one counter under one key, as two 64-bit integers."""
    key_0, key_1 = key & LOW_32, key >> HALF
    for _ in range(ROUNDS):
        product_0, product_1 = MULTIPLIER_0 * word_0, MULTIPLIER_1 * word_2
        word_0, word_1, word_2, word_3 = (
            (product_1 >> HALF) ^ word_1 ^ key_0,
            product_1 & LOW_32,
            (product_0 >> HALF) ^ word_3 ^ key_1,
            product_0 & LOW_32,
        )
        key_0, key_1 = (key_0 + KEY_STEP_0) & LOW_32, (key_1 + KEY_STEP_1) & LOW_32
    return (word_0 << HALF) | word_1, (word_2 << HALF) | word_3


@inlined
def open_unit(bits: np.uint64) -> float:
    """A number of (0, 1) from the upper 52 of 64 bits: the middle of its cell, so neither end can occur and 1 - u is as likely as u."""
    return (U64((bits >> TO_MANTISSA) | ONE_BITS).view(np.float64) - 1.0) + HALF_SPACING


@inlined
def sine_and_cosine(turns: float) -> tuple[float, float]:
    """(sin, cos) of 2 pi turns for 0 < turns < 1: the quarter turn is taken off exactly, the rest is a short series."""
    shifted = 4.0 * turns + ROUNDING
    quarter = np.float64(shifted).view(np.int64) & 3
    x = (4.0 * turns - (shifted - ROUNDING)) * HALF_PI
    square = x * x
    s, c = SINE[7], COSINE[7]
    for power in range(6, -1, -1):
        s, c = s * square + SINE[power], c * square + COSINE[power]
    s, c = x + x * (square * s), 1.0 + square * (square * c - 0.5)
    sine, cosine = (c if quarter & 1 else s), (s if quarter & 1 else c)
    return (-sine if quarter & 2 else sine), (-cosine if (quarter + 1) & 2 else cosine)


@inlined
def uniform_pair(key: np.uint64, pair: np.uint64, step: int, draw: int) -> tuple[float, float]:
    """The uniforms of paths 2 pair and 2 pair + 1."""
    a, b = philox(pair & LOW_32, pair >> HALF, U64(step), U64(draw) | UNIFORM, key)
    return open_unit(a), open_unit(b)


@inlined
def normal_pair(key: np.uint64, pair: np.uint64, step: int, draw: int) -> tuple[float, float]:
    """The standard normals of paths 2 pair and 2 pair + 1: radius sqrt(-2 ln u), angle 2 pi v."""
    a, b = philox(pair & LOW_32, pair >> HALF, U64(step), U64(draw) | NORMAL, key)
    radius = math.sqrt(-2.0 * strict_log_ratio(open_unit(a), 1.0))
    sine, cosine = sine_and_cosine(open_unit(b))
    return radius * cosine, radius * sine


@inlined
def uniform_at(key: np.uint64, path: int, step: int, draw: int) -> float:
    """One uniform of (0, 1), for kernels that need one now and then."""
    even, odd = uniform_pair(key, U64(path) >> ONE, step, draw)
    return odd if path & 1 else even


@inlined
def normal_at(key: np.uint64, path: int, step: int, draw: int) -> float:
    """One standard normal, for kernels that need one now and then."""
    even, odd = normal_pair(key, U64(path) >> ONE, step, draw)
    return odd if path & 1 else even


@compiled
def fill_uniforms(key: np.uint64, first_path: int, step: int, draw: int, out: FloatArray) -> None:
    """One draw for `out.size` paths from `first_path` on; callable inside other kernels. `key` comes from :func:`stream_key`."""
    paths = out.size
    start = first_path & 1 if paths else 0  # written so that the loops below stay vectors
    if start:
        out[0] = uniform_at(key, first_path, step, draw)
    pair = U64((first_path + start) >> 1)
    pairs = (paths - start) // 2
    for j in range(pairs):
        out[start + 2 * j], out[start + 2 * j + 1] = uniform_pair(key, pair + U64(j), step, draw)
    if start + 2 * pairs < paths:
        out[paths - 1] = uniform_at(key, first_path + paths - 1, step, draw)


@compiled
def fill_normals(key: np.uint64, first_path: int, step: int, draw: int, out: FloatArray) -> None:
    """One draw for `out.size` paths from `first_path` on; callable inside other kernels. `key` comes from :func:`stream_key`."""
    paths = out.size
    start = first_path & 1 if paths else 0  # written so that the loops below stay vectors
    if start:
        out[0] = normal_at(key, first_path, step, draw)
    pair = U64((first_path + start) >> 1)
    pairs = (paths - start) // 2
    for j in range(pairs):
        out[start + 2 * j], out[start + 2 * j + 1] = normal_pair(key, pair + U64(j), step, draw)
    if start + 2 * pairs < paths:
        out[paths - 1] = normal_at(key, first_path + paths - 1, step, draw)


@compiled
def _fill_uniform_rows(key: np.uint64, first_path: int, step: int, out: FloatArray) -> None:
    for draw in range(out.shape[0]):
        fill_uniforms(key, first_path, step, draw, out[draw])


@compiled
def _fill_normal_rows(key: np.uint64, first_path: int, step: int, out: FloatArray) -> None:
    for draw in range(out.shape[0]):
        fill_normals(key, first_path, step, draw, out[draw])


@lru_cache(maxsize=4096)
def stream_key(seed: int, stream: int) -> np.uint64:
    """The 64-bit key of one stream of a seed, as kernels want it.

    key = BLAKE2b-64(seed, little-endian) + (stream + 1) * odd constant, modulo 2^64: streams of one seed never share a key, and seeds
    that differ in one bit have nothing in common.

    >>> bool(stream_key(7, 0) == stream_key(7, 1))
    False

    Raises InputError for a negative seed, or a stream that is not a whole number from 0 to 2^64 - 1.
    """
    seed, stream = _whole("seed", seed), _whole("stream", stream)
    digest = hashlib.blake2b(seed.to_bytes(max(1, (seed.bit_length() + 7) // 8), "little"), digest_size=8).digest()
    return U64((int.from_bytes(digest, "little") + (stream + 1) * STREAM_STEP) % (1 << 64))


def uniforms(seed: int, stream: int, first_path: int, paths: int, step: int, draws: int) -> FloatArray:
    """Numbers spread evenly over (0, 1), shape (draws, paths): the same whatever else is drawn, and in whatever order.

    Row i is draw i of paths first_path, first_path + 1, ...; 0 and 1 never occur, the spacing is 2^-52.

    >>> whole = uniforms(7, 0, 0, 8, 1, 2)
    >>> bool((uniforms(7, 0, 3, 5, 1, 1) == whole[:1, 3:]).all())
    True

    Raises InputError for negative or oversized numbers. Source: Salmon et al. 2011 (Philox4x32-10).
    """
    key, out = _prepared(seed, stream, first_path, paths, step, draws)
    _fill_uniform_rows(key, first_path, step, out)
    return out


def normals(seed: int, stream: int, first_path: int, paths: int, step: int, draws: int) -> FloatArray:
    """Standard normal numbers, shape (draws, paths): the same whatever else is drawn, and in whatever order.

    Row i is draw i of paths first_path, first_path + 1, ...; independent of the uniforms of the same key. The largest size possible is 8.57.

    >>> whole = normals(7, 0, 0, 1000, 1, 2)
    >>> bool((normals(7, 0, 501, 499, 1, 1) == whole[:1, 501:]).all())
    True

    Raises InputError for negative or oversized numbers. Source: Salmon et al. 2011 (Philox4x32-10), Box and Muller 1958.
    """
    key, out = _prepared(seed, stream, first_path, paths, step, draws)
    _fill_normal_rows(key, first_path, step, out)
    return out


def _prepared(seed: int, stream: int, first_path: int, paths: int, step: int, draws: int) -> tuple[np.uint64, FloatArray]:
    for name, value in (("first_path", first_path), ("paths", paths), ("step", step), ("draws", draws)):
        _whole(name, value)
    return stream_key(seed, stream), np.empty((draws, paths))


def _whole(name: str, value: int) -> int:
    most = MOST.get(name)
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or (most is not None and number >= most):
        bound = "" if most is None else f" below {most}"
        raise InputError(f"expected {name} as a whole number of 0 or more{bound}, got {str(value)[:40]}; give it as an integer")
    return number
