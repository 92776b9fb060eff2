"""npz: a zip archive of numpy's arrays. Arrays of objects are pickles, and are refused."""

import weakref
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from tljax.core.errors import WeightsError
from tljax.core.types import Arrays

SUFFIXES = (".npz",)


def recognizes(head: bytes) -> bool:
    return head.startswith(b"PK")


def read(path: Path) -> Arrays:
    """Every array of the archive; an array is read at its first use.

    Raises:
      WeightsError: the archive is damaged (for an array: at its first use), or holds other things than numbers.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # damaged fields of a zip raise NotImplementedError, ValueError and struct.error too
        raise _damaged(path, error) from error
    members = {member.removesuffix(".npy"): member for member in archive.namelist()}
    arrays = Arrays({name: partial(_array, archive, path, member) for name, member in members.items()})
    weakref.finalize(arrays, archive.close)
    try:
        wrong = [name for name, member in members.items() if not _holds_numbers(archive, member)]
    except Exception as error:  # a damaged member raises zipfile.BadZipFile, zlib.error or EOFError
        raise _damaged(path, error) from error
    if wrong:
        raise WeightsError(
            f"'{path}' must hold arrays of numbers only (objects are pickles, which can run code); "
            f"these are not: {', '.join(wrong)}. Save them with numpy.savez as float arrays."
        )
    return arrays


def _holds_numbers(archive: zipfile.ZipFile, member: str) -> bool:
    """Whether a member is an array of numbers; only its header is read."""
    with archive.open(member) as opened:
        try:
            version = np.lib.format.read_magic(opened)
        except ValueError:  # not an array
            return False
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        return version in read_header and read_header[version](opened)[2].kind in "biuf"


def _array(archive: zipfile.ZipFile, path: Path, member: str) -> np.ndarray:
    try:
        with archive.open(member) as opened:
            return np.lib.format.read_array(opened, allow_pickle=False)
    except Exception as error:  # a wrong checksum, or a truncated file
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"'{path}' is a damaged npz archive: {error}. Fetch it again.")
