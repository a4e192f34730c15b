"""Flips, cuts, zeros, stale copies and missing files: every one is named, none is silently short or wrong, and the recorder still starts."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.gates.store.store_damage import Original, check_damaged_store, make_original, mutated

SEED = 20_260 + gate_seed()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return make_original(tmp_path_factory.mktemp("original"), random.Random(SEED))


def damage(original: Original, place: Path, numbers: range) -> None:
    for number in numbers:
        draw = random.Random(f"{SEED}-{number}")
        copy = place / str(number)
        name, kind, changed = mutated(original, copy, draw)
        try:
            check_damaged_store(original, copy, name=name, changed=changed)
        except Exception as error:
            raise AssertionError(f"mutation {number}: {kind} of {name}: {error}") from error
        shutil.rmtree(copy)


@pytest.mark.parametrize("part", range(4))
def test_damaged_files_are_all_named_and_cost_nothing_silently(original: Original, tmp_path: Path, part: int) -> None:
    each = gate_size(small=60, full=400) // 4
    damage(original, tmp_path, range(part * each, (part + 1) * each))


def test_the_gate_finds_a_reader_that_trusts_its_disk(original: Original, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trusting:
        def __init__(self, data: bytes) -> None: ...

        def digest(self) -> _Anything:
            return _Anything()

    monkeypatch.setattr("tailwag.sources.store.segments.sha256", Trusting)
    with pytest.raises(AssertionError, match="silently wrong"):
        damage(original, tmp_path, range(100))


def test_the_gate_finds_a_store_without_a_mark(original: Original, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailwag.sources.store.verify._Walk.against_mark", lambda walk, mark, later: None)
    with pytest.raises(AssertionError, match="silently lost"):
        damage(original, tmp_path, range(100))


class _Anything:
    """Equal to every digest."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0
