"""Opening: a hostile file, name or package is refused with its reason, in a second and without filling the memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import resource
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tailwag.errors import FileFormatError
from tailwag.sources.opening import list_folder, read_file, read_member

TEXT = b'{"result": []}\n'


def _zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


def _zip(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(TEXT, id="plain"),
        pytest.param(gzip.compress(TEXT), id="gzip"),
        pytest.param(gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:]), id="gzip-of-two-members"),
        pytest.param(_zstd(TEXT), id="zstd"),
        pytest.param(_zip(("chain.json", TEXT)), id="zip"),
    ],
)
def test_packed_files_open_as_what_is_inside(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "chain.json.packed"
    path.write_bytes(packed)
    raw = read_file(path)
    assert raw.data == TEXT
    assert raw.name == "chain.json.packed"
    assert raw.sha256 == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gzip.compress(os.urandom(5_000))[:-20], id="gzip-cut-off"),
        pytest.param(gzip.compress(TEXT)[:-8] + b"\0" * 8, id="gzip-checksum"),
        pytest.param(gzip.compress(TEXT) + b"rubbish", id="gzip-and-rubbish"),
        pytest.param(gzip.compress(b"x") * 1_002, id="gzip-of-a-thousand-members"),
        pytest.param(gzip.compress(gzip.compress(TEXT)), id="gzip-in-gzip"),
        pytest.param(_zstd(os.urandom(5_000))[:-20], id="zstd-cut-off"),
        pytest.param(_zip(("a.json", TEXT), ("b.json", TEXT)), id="zip-of-two"),
        pytest.param(_zip(), id="zip-of-none"),
        pytest.param(_zip(("chain.json", TEXT))[:40], id="zip-cut-off"),
        pytest.param(_zip(("chain.pkl", TEXT)), id="item-40-pickle-in-a-zip"),
    ],
)
def test_damaged_or_doubtful_packages_are_refused(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    path.write_bytes(packed)
    with pytest.raises(FileFormatError, match="chain"):
        read_file(path)


def _gzip_zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"\0" * 2**20
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def _zip_zeros(megabytes: int) -> bytes:
    return _zip(("chain.json", b"\0" * (megabytes * 2**20)))


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(_gzip_zeros, id="item-38-gzip"),
        pytest.param(_zip_zeros, id="item-38-zip"),
        pytest.param(lambda n: _zstd(b"\0" * (n * 2**20)), id="item-38-zstd"),
    ],
)
def test_item_38_a_bomb_stops_at_the_cap(bomb: object, tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    path.write_bytes(bomb(80))  # type: ignore[operator]
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    with pytest.raises(FileFormatError, match="too large"):
        read_file(path)
    assert time.process_time() - start < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 80 * 1024


def test_item_38_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as handle:
        handle.truncate(2**40)
    with pytest.raises(FileFormatError, match="at most"):
        read_file(path)
    path.write_bytes(TEXT)
    with pytest.raises(FileFormatError, match="at most 5 are read"):
        read_file(path, limit_bytes=5)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("file:///etc/passwd", id="item-39-file-address"),
        pytest.param("FILE:/etc/passwd", id="item-39-file-address-short"),
        pytest.param("https://example.com/chain.json", id="item-39-web-address"),
        pytest.param("\\\\server\\share\\chain.json", id="item-39-unc"),
        pytest.param("//server/share/chain.json", id="item-39-unc-slashes"),
        pytest.param("chain.json\0.csv", id="item-39-nul"),
        pytest.param("", id="item-39-empty"),
        pytest.param("/dev/zero", id="item-39-device"),
        pytest.param("/proc/self/mem", id="item-39-proc"),
        pytest.param("/nonexistent/chain.json", id="item-39-no-such-file"),
        pytest.param("x" * 5_000, id="item-39-name-too-long"),
    ],
)
def test_item_39_what_is_no_plain_local_file_is_refused(text: str) -> None:
    with pytest.raises(FileFormatError) as refusal:
        read_file(text)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 300


def test_item_39_links_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_bytes(TEXT)
    (tmp_path / "link.json").symlink_to(real)
    os.mkfifo(tmp_path / "pipe.json")
    for name, reason in (("link.json", "link"), ("pipe.json", "plain file"), ("", "plain file")):
        with pytest.raises(FileFormatError, match=reason):
            read_file(tmp_path / name)


@pytest.mark.parametrize("member", ["../real.json", "/etc/passwd", "..", ".", "", "a/b.json", "a\\b.json", "real.json\0"])
def test_item_39_a_member_never_leads_out_of_its_folder(member: str, tmp_path: Path) -> None:
    (tmp_path / "real.json").write_bytes(TEXT)
    (tmp_path / "inner").mkdir()
    with pytest.raises(FileFormatError, match="bare name"):
        read_member(tmp_path / "inner", member)


def test_item_39_a_folder_lists_plain_files_only(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_bytes(TEXT)
    (tmp_path / ".hidden.json").write_bytes(TEXT)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    (tmp_path / "inner").mkdir()
    assert list_folder(tmp_path) == ["real.json"]
    with pytest.raises(FileFormatError, match="1 files"):
        list_folder(tmp_path, limit=0)


def _npy() -> bytes:
    saved = io.BytesIO()
    np.save(saved, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return saved.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("chain.pkl", TEXT, id="item-40-pickle-by-name"),
        pytest.param("chain.pkl.gz", gzip.compress(TEXT), id="item-40-packed-pickle-by-name"),
        pytest.param("chain.json", pickle.dumps({"a": 1}), id="item-40-pickle-by-content"),
        pytest.param("chain.json", gzip.compress(pickle.dumps({"a": 1})), id="item-40-packed-pickle-by-content"),
        pytest.param("chain.npy", _npy(), id="item-40-npy-by-name"),
        pytest.param("chain.json", _npy(), id="item-40-npy-by-content"),
        pytest.param("chain.npz", _zip(("a.npy", _npy())), id="item-40-npz"),
        pytest.param("chain.json", _zip(("a.npy", _npy())), id="item-40-npz-by-content"),
        pytest.param("chain.yaml", b"!!python/object/apply:os.system [id]", id="item-40-yaml-by-name"),
        pytest.param("chain.json", b"!!python/object/apply:os.system [id]", id="item-40-yaml-by-content"),
    ],
)
def test_item_40_kinds_that_can_run_code_are_refused(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="refused"):
        read_file(path)


def test_names_are_shown_without_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "chain\u202egnp\n.json"
    path.write_bytes(TEXT)
    assert read_file(path).name == "chain?gnp?.json"


def test_a_store_where_one_file_is_expected_is_told_what_to_give(tmp_path: Path) -> None:
    for name, advice in (
        ("market", "give one moment of this store, which tailwag measure market --json FILE writes"),
        ("notes", "give a file"),
    ):
        (tmp_path / name).mkdir()
        if name == "market":
            (tmp_path / name / "mark").write_bytes(b"")
        with pytest.raises(FileFormatError, match=f"device or pipe; {advice}$"):
            read_file(tmp_path / name)
