"""File fuzz: a torn, flipped or forged file is read soundly or refused with its reason, within two seconds and the memory limit."""

from __future__ import annotations

import random
import resource
import time
from pathlib import Path

import pytest
from tests.sources.mutations import GOOD_PARQUET, MAKERS
from tests.sources.test_fuzz_rows import assert_readable, assert_sound

from tailwag.errors import InputError
from tailwag.sources import load

LONGEST_SECONDS = 2.0
MOST_MEMORY_KIB = 300 * 1024


def _run(kind: str, seed: int, count: int, folder: Path) -> tuple[int, int]:
    draw = random.Random(f"{kind} {seed}")
    read = 0
    refusals: list[str] = []
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = folder / "fuzzed.bin"
    for _ in range(count):
        path.write_bytes(MAKERS[kind](draw))
        start = time.process_time()
        try:
            assert_sound(load(path))
            read += 1
        except InputError as refusal:
            refusals.append(str(refusal))
        assert time.process_time() - start < LONGEST_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_MEMORY_KIB
    assert_readable(refusals)
    return read, len(refusals)


@pytest.mark.parametrize("kind", MAKERS)
def test_five_hundred_mutated_files(kind: str, tmp_path: Path) -> None:
    read, refused = _run(kind, 0, 64, tmp_path)
    assert read + refused == 64
    assert refused > 0 or kind.endswith("-rows")


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_two_thousand_mutated_files(kind: str, tmp_path: Path) -> None:
    assert sum(_run(kind, 1, 250, tmp_path)) == 250


def test_no_flipped_bit_of_a_parquet_page_passes_in_silence(tmp_path: Path) -> None:
    """Page checksums: a flip either is refused, or lies outside the pages that were read and changes nothing."""
    draw = random.Random(38)
    good = GOOD_PARQUET[1]
    path = tmp_path / "chain.parquet"
    path.write_bytes(good)
    expected = load(path).chain
    wrong = 0
    for _ in range(120):
        torn = bytearray(good)
        torn[draw.randrange(len(good) - 9_000)] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(torn))
        try:
            chain = load(path).chain
        except InputError:
            continue
        same = chain.instrument.tolist() == expected.instrument.tolist() and chain.iv.tolist() == expected.iv.tolist()
        wrong += not (same and chain.open_interest_contracts.tolist() == expected.open_interest_contracts.tolist())
    assert wrong == 0
