"""Safe opening: the only way a file of the user's becomes bytes, within limits, whatever it claims to be."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tailwag.errors import FileFormatError

LIMIT_BYTES = 256 * 1024 * 1024
"""No file, and nothing unpacked from one, may be larger."""
BOMB_BYTES, BOMB_RATIO = 32 * 1024 * 1024, 200
"""Beyond the first of these, what unpacks to more than the second times its packed size is a bomb: market data pack 3 to 40 times."""
_CHUNK = 1024 * 1024
_GZIP_MEMBERS = 1_000
"""Each member costs a copy of what follows it, so a file of a million tiny ones would stall."""
_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", (b"PK\x03\x04", b"PK\x05\x06")
_REFUSED_NAMES = (".pkl", ".pickle", ".joblib", ".npy", ".npz", ".yaml", ".yml", ".dill", ".pt", ".h5", ".hdf5")
_REFUSED_STARTS = ((b"\x93NUMPY", "NumPy array"), (b"%YAML", "YAML"), (b"!!python", "YAML"), (b"\x89HDF", "HDF5"))


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file's bytes, unpacked; ``name`` is its bare name (never a folder), ``sha256`` is of the bytes as they lie on disk."""

    name: str
    data: bytes
    sha256: str


def read_file(path: str | os.PathLike[str], *, limit_bytes: int = LIMIT_BYTES) -> RawFile:
    """The bytes of a plain file, unpacked if it is gzip, zstd or a zip of one file.

    Links, devices, folders, network names and anything beyond ``limit_bytes`` (before or after unpacking) are refused, and so are the
    kinds that can run code or tags when loaded (pickle, NumPy, YAML, HDF5).

    Raises FileFormatError naming the file and what to do.
    """
    text = checked_path_text(path)
    name = bare_name(text)
    _refuse_name(name)
    packed = _read_plain(text, name=name, limit_bytes=limit_bytes)
    return RawFile(name=name, data=unpacked(packed, name=name, limit_bytes=limit_bytes), sha256=hashlib.sha256(packed).hexdigest())


def open_member(folder: str | os.PathLike[str], member: str) -> BinaryIO:
    """A plain file directly in ``folder``, opened and not yet read (for formats whose footer tells what is inside).

    Raises FileFormatError.
    """
    return _opened_plain(_member_path(folder, member), name=bare_name(member))


def read_member(folder: str | os.PathLike[str], member: str, *, limit_bytes: int = LIMIT_BYTES) -> RawFile:
    """The bytes of a file that lies directly in ``folder``; a name that could lead out of it is refused.

    Raises FileFormatError.
    """
    return read_file(_member_path(folder, member), limit_bytes=limit_bytes)


def _member_path(folder: str | os.PathLike[str], member: str) -> str:
    if not member or member in (".", "..") or "/" in member or "\\" in member or "\0" in member:
        raise FileFormatError(f"expected the bare name of a file in the folder, got {bare_name(member)!a}; leave out folders and '..'")
    return os.path.join(checked_path_text(folder), member)


def checked_path_text(path: str | os.PathLike[str]) -> str:
    """The path as text, refused where it is no local path: NUL, an address (file://, https://), a network share.

    Raises FileFormatError.
    """
    text = os.fspath(path)
    shown = ascii(text[:80])
    if not text or "\0" in text:
        raise FileFormatError(f"expected a file or folder, got {shown}; give a path without NUL")
    if "://" in text or text.lower().startswith(("file:", "data:", "\\\\", "//")):
        raise FileFormatError(f"expected a local file or folder, got the address {shown}; save it first and give its path")
    return text


def bare_name(text: str) -> str:
    """The last part of a path, safe to print: control and direction characters become '?', 80 characters at most."""
    last = text.rstrip("/").rsplit("/", 1)[-1]
    return "".join(letter if letter.isprintable() else "?" for letter in last)[:80]


def list_folder(path: str | os.PathLike[str], *, limit: int = 10_000) -> list[str]:
    """Names of the plain files directly in a folder, in alphabetical order; links and hidden files are left out.

    Raises FileFormatError if there are more than ``limit``.
    """
    text = checked_path_text(path)
    try:
        with os.scandir(text) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".")]
    except OSError as trouble:
        raise FileFormatError(f"{bare_name(text)}: {_why_not_opened(trouble)}") from None
    if len(names) > limit:
        raise FileFormatError(f"{bare_name(text)}: {len(names)} files, at most {limit} are read; give a smaller folder")
    return sorted(names)


def links_in(path: str | os.PathLike[str]) -> str:
    """Half a sentence on the links of a folder; nothing where it has none."""
    try:
        with os.scandir(checked_path_text(path)) as entries:
            found = any(entry.is_symlink() for entry in entries)
    except OSError:
        return ""
    return " (links in it are not followed: put the files themselves there)" if found else ""


def _refuse_name(name: str) -> None:
    lowered = name.lower()
    for ending in _REFUSED_NAMES:
        if lowered.endswith((ending, f"{ending}.gz", f"{ending}.zst")):
            raise FileFormatError(f"{name}: files of type {ending} are refused, they can run code when loaded; save JSON, CSV or Parquet")


def _read_plain(text: str, *, name: str, limit_bytes: int) -> bytes:
    with _opened_plain(text, name=name) as handle:
        size = os.fstat(handle.fileno()).st_size
        if size > limit_bytes:
            raise FileFormatError(f"{name}: {size} bytes, at most {limit_bytes} are read; split it or raise the limit")
        try:
            data = handle.read(limit_bytes + 1)
        except OSError as trouble:
            raise FileFormatError(f"{name}: {_why_not_opened(trouble)}") from None
    if len(data) > limit_bytes:
        raise FileFormatError(f"{name}: more than {limit_bytes} bytes; split it or raise the limit")
    return data


def _opened_plain(text: str, *, name: str) -> BinaryIO:
    descriptor = _descriptor(text, name=name)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        recorded = os.path.isfile(os.path.join(text, "mark"))  # a store of tailwag record
        advice = f"give one moment of this store, which tailwag measure {name} --json FILE writes" if recorded else "give a file"
        raise FileFormatError(f"{name}: expected a plain file, this is a folder, device or pipe; {advice}")
    return os.fdopen(descriptor, "rb")


def _descriptor(text: str, *, name: str) -> int:
    # O_NONBLOCK: opening a FIFO must not hang before fstat can refuse it
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(text, flags)
    except OSError as trouble:
        raise FileFormatError(f"{name}: {_why_not_opened(trouble)}") from None


def _why_not_opened(trouble: OSError) -> str:
    if trouble.errno in (errno.ELOOP, errno.EMLINK):
        return "is a symbolic link, which is not followed; give the file it points to"
    if trouble.errno in (errno.ENOENT, errno.ENOTDIR):
        return "no such file; check the path"
    if trouble.errno == errno.ENAMETOOLONG:
        return "the name is too long for this system; give a shorter path"
    return f"cannot be opened ({trouble.strerror or trouble}); check the path and its permissions"


def unpacked(data: bytes, *, name: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The bytes inside one layer of gzip, zstd or zip; anything else as it is.

    Raises FileFormatError for damage, for a bomb, and for kinds that can run code.
    """
    if data.startswith(_GZIP):
        inner = _gathered(_gunzip(data, name), packed_bytes=len(data), name=name, limit_bytes=limit_bytes)
    elif data.startswith(_ZSTD):
        inner = _gathered(_unzstd(data, name), packed_bytes=len(data), name=name, limit_bytes=limit_bytes)
    elif data.startswith(_ZIP):
        inner = _gathered(_unzip(data, name), packed_bytes=len(data), name=name, limit_bytes=limit_bytes)
    else:
        inner = data
    _refuse_start(inner, name)
    return inner


def _refuse_start(data: bytes, name: str) -> None:
    for start, kind in _REFUSED_STARTS:
        if data.startswith(start):
            raise FileFormatError(f"{name}: this is a {kind} file, which is refused; save JSON, CSV or Parquet")
    if len(data) > 2 and data[0] == 0x80 and 1 <= data[1] <= 5:
        raise FileFormatError(f"{name}: this is a Python pickle, which is refused, it can run code; save JSON, CSV or Parquet")
    if data.startswith((_GZIP, _ZSTD, *_ZIP)):
        raise FileFormatError(f"{name}: packed more than once; unpack it to one layer")


def _gathered(chunks: Iterable[bytes], *, packed_bytes: int, name: str, limit_bytes: int) -> bytes:
    total, kept = 0, []
    for chunk in chunks:
        total += len(chunk)
        if total > limit_bytes or (total > BOMB_BYTES and total > BOMB_RATIO * packed_bytes):
            raise FileFormatError(
                f"{name}: unpacks to more than {total} bytes from {packed_bytes}, refused as too large; unpack it yourself and split it"
            )
        kept.append(chunk)
    return b"".join(kept)


def _gunzip(data: bytes, name: str) -> Iterator[bytes]:
    rest = data
    for _ in range(_GZIP_MEMBERS):
        if not rest:
            return
        member = zlib.decompressobj(wbits=31)
        pending = rest
        while not member.eof:
            try:
                chunk = member.decompress(pending, _CHUNK)
            except zlib.error as trouble:
                raise FileFormatError(f"{name}: the gzip is damaged ({trouble}); fetch the file again") from None
            pending = member.unconsumed_tail
            if not chunk and not pending and not member.eof:
                raise FileFormatError(f"{name}: the gzip ends early, it was cut off; fetch the file again")
            yield chunk
        rest = member.unused_data.lstrip(b"\0")
    if rest:
        raise FileFormatError(f"{name}: more than {_GZIP_MEMBERS} gzip members; unpack it yourself")


def _unzstd(data: bytes, name: str) -> Iterator[bytes]:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except (OSError, pa.ArrowException) as trouble:
        raise FileFormatError(f"{name}: the zstd is damaged or cut off ({str(trouble)[:80]}); fetch the file again") from None


def _unzip(data: bytes, name: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(members) != 1:
                raise FileFormatError(
                    f"{name}: expected a zip of one file, it holds {len(members)}; unpack it and give the file or the folder"
                )
            _refuse_name(bare_name(members[0].filename))
            with archive.open(members[0]) as member:
                while chunk := member.read(_CHUNK):
                    yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError, OSError) as trouble:
        raise FileFormatError(
            f"{name}: the zip is damaged, locked or of an unknown kind ({str(trouble)[:80]}); unpack it yourself"
        ) from None
