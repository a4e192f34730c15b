"""Random numbers: equal to an independent integer implementation, the same whatever the split, and random by every cheap test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from tailwag.errors import InputError
from tailwag.kernels import jumps, paths, random
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.random import fill_normals, fill_uniforms, normal_at, normals, philox, sine_and_cosine, stream_key, uniforms
from tailwag.kernels.random_plain import normal_row, plain_normals, plain_uniforms, uniform_row

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "models.json").read_text())
LARGE = (10**40, 2**64 - 1, 2**40 + 7, 2**32 - 1)  # seed, stream, path, step


@pytest.mark.parametrize(("counter", "key", "words"), ANSWERS["published_philox"])
def test_the_generator_is_philox_as_its_authors_published_it(counter: list[int], key: list[int], words: list[int]) -> None:
    a, b = philox(*(np.uint64(word) for word in counter), np.uint64(key[0] + (key[1] << 32)))
    assert [int(a) >> 32, int(a) % 2**32, int(b) >> 32, int(b) % 2**32] == words


@pytest.mark.parametrize("row", ANSWERS["random"], ids=lambda row: f"seed{row['seed'][:6]}-path{row['path']}-draw{row['draw']}")
def test_known_answers_of_the_layout(row: dict[str, Any]) -> None:
    key = stream_key(int(row["seed"]), int(row["stream"]))
    uniform, normal = np.empty(1), np.empty(1)
    fill_uniforms(key, row["path"], row["step"], row["draw"], uniform)
    fill_normals(key, row["path"], row["step"], row["draw"], normal)
    assert round(uniform[0] * 2**53) == int(row["uniform_times_2_53"])
    assert abs(normal[0] - row["normal"]) < 1e-15


@pytest.mark.parametrize("first_path", [0, 1, 2**40 + 7])
def test_compiled_and_plain_agree(first_path: int) -> None:
    arguments = (*LARGE[:2], first_path, 20_001, LARGE[3], 3)
    assert np.array_equal(uniforms(*arguments), plain_uniforms(*arguments))
    assert np.abs(normals(*arguments) - plain_normals(*arguments)).max() < 1e-15


def test_no_split_into_blocks_changes_a_bit() -> None:
    for draw in (normals, uniforms):
        whole = draw(7, 3, 5, 1000, 9, 4)
        for first, count in ((0, 1), (1, 1), (1, 2), (3, 64), (500, 500), (17, 129)):
            assert np.array_equal(draw(7, 3, 5 + first, count, 9, 4), whole[:, first : first + count])


def test_a_draw_does_not_depend_on_how_many_are_drawn() -> None:
    assert np.array_equal(normals(7, 0, 0, 99, 1, 1)[0], normals(7, 0, 0, 99, 1, 6)[0])
    assert np.array_equal(uniforms(7, 0, 0, 99, 1, 6)[:5], uniforms(7, 0, 0, 99, 1, 5))


def test_a_kernel_that_draws_one_number_gets_that_of_the_row() -> None:
    key = stream_key(11, 2)
    row = np.empty(33)
    fill_normals(key, 7, 5, 1, row)
    assert row.tolist() == [normal_at(key, 7 + p, 5, 1) for p in range(33)]
    assert np.array_equal(uniform_row(11, 2, 7, 33, 5, 1), uniforms(11, 2, 7, 33, 5, 2)[1])
    assert np.abs(normal_row(11, 2, 7, 33, 5, 1) - row).max() < 1e-15


def test_every_kernel_states_its_float_rules() -> None:
    """numba lets a function without stated rules inherit its first caller's licence to reorder, and caches the result."""
    for module in (random, paths, jumps):
        kernels = [value for value in vars(module).values() if hasattr(value, "targetoptions")]
        assert len(kernels) > 5
        assert all("fastmath" in kernel.targetoptions for kernel in kernels)
    assert all(kernel.targetoptions["fastmath"] is False for kernel in (random.fill_normals, random.normal_pair, random.philox))


@pytest.mark.slow
def test_a_careless_caller_that_compiles_first_changes_no_bit(tmp_path: Path) -> None:
    script = (
        "import numpy as np\n"
        "from numba import njit\n"
        "from tailwag.kernels.random import fill_normals, normal_at, normals, stream_key\n"
        "@njit(fastmath=True, error_model='numpy')\n"
        "def careless(key, out):\n"
        "    fill_normals(key, 0, 1, 0, out)\n"
        "    total = 0.0\n"
        "    for p in range(out.size):\n"
        "        total += abs(normal_at(key, p, 1, 0) - out[p])\n"
        "    return total\n"
        "out = np.empty(500)\n"
        "assert careless(stream_key(5, 3), out) == 0.0\n"
        "assert np.array_equal(out, normals(5, 3, 0, 500, 1, 1)[0])\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)})


def test_the_angle_is_exact_to_the_last_digit_at_every_eighth_of_a_turn() -> None:
    edges = [eighth / 8 + side * 2**-53 for eighth in range(1, 8) for side in (-1, 1)]
    for turns in [2**-53, 1 - 2**-53, *edges, *uniforms(3, 0, 0, 200, 1, 1)[0].tolist()]:
        sine, cosine = sine_and_cosine(turns)
        with mp.workdps(40):
            assert max(abs(mp.sinpi(2 * mp.mpf(turns)) - sine), abs(mp.cospi(2 * mp.mpf(turns)) - cosine)) < 1.7e-16


def z_scores_of_moments(z: FloatArray) -> list[float]:
    """First six moments of standard normals, in standard errors."""
    exact = {1: 0.0, 2: 1.0, 3: 0.0, 4: 3.0, 5: 0.0, 6: 15.0}
    spread = {1: 1.0, 2: 2.0, 3: 15.0, 4: 96.0, 5: 945.0, 6: 10395.0 - 225.0}
    power, found = np.ones_like(z), []
    for k in exact:
        power = power * z
        found.append(float(abs(power.mean() - exact[k]) / (spread[k] / z.size) ** 0.5))
    return found


def test_normals_have_normal_moments_and_distribution() -> None:
    z = normals(2024, 0, 0, 400_000, 17, 2).ravel()
    assert max(z_scores_of_moments(z)) < 4.0
    assert stats.kstest(z[::4], "norm").pvalue > 1e-4
    for size in (3.0, 4.0, 4.5):
        expected = z.size * 2.0 * stats.norm.sf(size)
        assert abs((np.abs(z) > size).sum() - expected) < 4.0 * expected**0.5


def test_the_moment_test_has_power() -> None:
    z = normals(2024, 0, 0, 200_000, 17, 2).ravel()
    assert max(z_scores_of_moments(1.01 * z)) > 4.0
    assert max(z_scores_of_moments(z + 0.01)) > 4.0
    assert max(z_scores_of_moments(z + 0.01 * z**3)) > 4.0


def test_uniforms_fill_the_unit_interval_evenly_in_high_and_low_bits() -> None:
    u = uniforms(5, 1, 0, 500_000, 3, 1)[0]
    assert 0.0 < u.min() < 2e-5
    assert 1.0 - 2e-5 < u.max() < 1.0
    assert stats.kstest(u[::4], "uniform").pvalue > 1e-4
    cells = (u * 2.0**52).astype(np.int64)
    for shift in (0, 8, 20, 32, 44):
        counts = np.bincount((cells >> shift) & 255, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-4
    for bit in range(52):
        assert abs(((cells >> bit) & 1).mean() - 0.5) < 4.5 * 0.5 / u.size**0.5


def neighbours() -> dict[str, tuple[FloatArray, FloatArray]]:
    n = 200_000
    z = normals(7, 3, 0, n + 8, 10, 3)
    first = z[0, :n]
    return {
        "next path": (first, z[0, 1 : n + 1]),
        "path after next": (first, z[0, 2 : n + 2]),
        "eighth path": (first, z[0, 8 : n + 8]),
        "partner in the pair": (z[0, 0:n:2], z[0, 1:n:2]),
        "next draw": (first, z[1, :n]),
        "draw after next": (first, z[2, :n]),
        "next step": (first, normals(7, 3, 0, n, 11, 1)[0]),
        "next stream": (first, normals(7, 4, 0, n, 10, 1)[0]),
        "next seed": (first, normals(8, 3, 0, n, 10, 1)[0]),
        "seed and stream exchanged": (first, normals(3, 7, 0, n, 10, 1)[0]),
        "step and draw exchanged": (z[1, :n], normals(7, 3, 0, n, 1, 11)[10]),
        "uniforms of the same key": (first, stats.norm.ppf(uniforms(7, 3, 0, n, 10, 1)[0])),
        "far path": (first, normals(7, 3, 2**32, n, 10, 1)[0]),
    }


@pytest.mark.parametrize("power", [1, 2])
def test_neighbours_are_uncorrelated_in_value_and_in_size(power: int) -> None:
    for name, (a, b) in neighbours().items():
        correlation = np.corrcoef(a**power, b**power)[0, 1]
        assert abs(correlation) * a.size**0.5 < 4.0, name


def test_pairs_of_neighbours_fill_the_square() -> None:
    u = uniforms(7, 3, 0, 200_001, 10, 2)
    for a, b in ((u[0, :-1], u[0, 1:]), (u[0], u[1]), (u[0], uniforms(7, 3, 0, 200_001, 11, 1)[0])):
        counts, _, _ = np.histogram2d(a, b, bins=32, range=[[0, 1], [0, 1]])
        assert stats.chisquare(counts.ravel()).pvalue > 1e-4


def test_sums_along_steps_and_paths_vary_as_they_should() -> None:
    block = np.array([normals(19, 0, 0, 512, step, 1)[0] for step in range(1, 513)])
    for axis in (0, 1):
        sums = block.sum(axis=axis) / 512**0.5
        assert stats.kstest(sums, "norm").pvalue > 1e-4
        assert 512 * sums.var() == pytest.approx(512, abs=4 * (2 * 512) ** 0.5)


def test_every_part_of_the_key_matters() -> None:
    base = (7, 3, 2, 5, 11, 2)
    first = uniforms(*base)[1, 0]
    changed = [uniforms(*base[:i], base[i] + 1, *base[i + 1 :])[1, 0] for i in (0, 1, 2, 4)]
    assert len({first, uniforms(*base)[0, 0], *changed}) == 6
    keys = {int(stream_key(7, stream)) for stream in range(2000)} | {int(stream_key(seed, 0)) for seed in range(8, 2000)}
    assert len(keys) == 2000 + 1992


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-1, 0, 0, 1, 1, 1), "seed"),
        ((1.5, 0, 0, 1, 1, 1), "seed"),
        ((1, 2**64, 0, 1, 1, 1), "stream"),
        ((1, -1, 0, 1, 1, 1), "stream"),
        ((1, 0, -2, 1, 1, 1), "first_path"),
        ((1, 0, 0, -1, 1, 1), "paths"),
        ((1, 0, 0, 1, 2**32, 1), "step"),
        ((1, 0, 0, 1, -1, 1), "step"),
        ((1, 0, 0, 1, 1, 2**31), "draws"),
    ],
)
def test_numbers_that_would_wrap_around_are_refused(arguments: tuple[Any, ...], name: str) -> None:
    with pytest.raises(InputError, match=f"expected {name} as a whole number") as caught:
        normals(*arguments)
    assert "\n" not in str(caught.value)


def test_no_paths_and_no_draws_are_empty_arrays() -> None:
    for first_path in (0, 3):
        guarded = np.full(9, 5.0)
        fill_normals(stream_key(1, 0), first_path, 1, 0, guarded[4:4])
        assert np.array_equal(guarded, np.full(9, 5.0))
        assert normals(1, 0, first_path, 0, 1, 2).shape == (2, 0)
    assert uniforms(1, 0, 3, 5, 1, 0).shape == (0, 5)


def test_nothing_is_compiled_at_import() -> None:
    script = (
        "from numba.core import event\n"
        "class Count(event.Listener):\n"
        "    def on_start(self, e): raise SystemExit('compiled ' + str(e.data))\n"
        "    def on_end(self, e): pass\n"
        "event.register('numba:compile', Count())\n"
        "import tailwag.sim.dynamics, tailwag.kernels.paths_plain\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
