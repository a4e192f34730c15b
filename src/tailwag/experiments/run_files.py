"""The files of a run: written whole or not at all, and the same bytes for the same run."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from tailwag.sim.run import KeptPaths

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The time in every archive, so that equal paths give equal bytes."""


def output_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of a run, made if it is not there; InputError where that cannot be."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--out expects a folder that may be made and written, {str(path)[:80]!a} cannot be ({reason})") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"--out expects a folder that may be written, {str(path)[:80]!a} may not; name another")
    return folder


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it: beside it first, then in its place."""
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            os.chmod(beside, 0o644)
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path.name} ({error.strerror}); name a folder with room that may be written") from None


def paths_archive(kept: KeptPaths) -> bytes:
    """``paths.npz``: time_years (t,), price_usd and fundamental_usd (paths, t), NAME_position_coin (paths, t) of every agent.

    An uncompressed archive with one fixed time in it: equal paths, equal bytes; ``numpy.load`` reads it.
    """
    arrays = {"time_years": kept.time_years, "price_usd": kept.price_usd, "fundamental_usd": kept.fundamental_usd}
    arrays |= {f"{name}_position_coin": held for name, held in kept.position_coin.items()}
    return packed_arrays(arrays)


def packed_arrays(arrays: Mapping[str, FloatArray | IntArray]) -> bytes:
    """Arrays by name as the bytes of an uncompressed ``.npz``, the same for equal arrays."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, values in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", ZIP_TIME), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
    return packed.getvalue()
