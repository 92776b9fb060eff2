"""safetensors: a header of JSON, then plain numbers. The file is mapped into memory; an array is a view of it."""

import contextlib
import mmap
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors

from tljax.core import untrusted
from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Json, Record

SUFFIXES = (".safetensors",)
LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
# The format's names of types -> numpy's. 8-bit floats are left out: they need scales to become weights.
DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def recognizes(head: bytes) -> bool:
    """Whether a file begins with the length of the header (8 bytes, little-endian) and a JSON object."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LARGEST_HEADER


def read(path: Path) -> Arrays:
    """Every array of the file, as a view that is made at its first use.

    Reading an array returns the memory pages of earlier arrays to the system; if an older view is used again, its
    pages are read again. So only one array lies in memory at a time, even for a large file.

    Raises:
      WeightsError: the file is not whole, names a tensor twice, or holds types that numpy does not know.
    """
    try:
        with safetensors.safe_open(path, framework="numpy"):  # checks sizes and offsets against the file's length
            pass
        rows, start = _header(path)
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise WeightsError(
            f"'{path}' ({path.stat().st_size:,} bytes) must be a whole safetensors file, but reading it "
            f"failed: {error}. It is truncated or damaged: fetch it again."
        ) from error
    unknown = {f"{name} ({row['dtype']})" for name, row in rows.items() if row["dtype"] not in DTYPES}
    if unknown:
        raise WeightsError(
            f"'{path}' must hold tensors of types that numpy knows; it does not know: {', '.join(sorted(unknown))}. "
            f"Save it as float32, float16 or bfloat16."
        )
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return Arrays({name: partial(_view, mapped, start, row) for name, row in rows.items()})


def _header(path: Path) -> tuple[Record, int]:
    """Name -> its entry in the header; and the position of the first number in the file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        pairs = untrusted.parse(file.read(length).decode(), hook=_once)
    return {name: row for name, row in pairs.items() if name != "__metadata__"}, 8 + length


def _once(pairs: list[tuple[str, object]]) -> Record:
    """An object from its pairs; two equal keys are an error, because JSON would silently keep the last."""
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"names stand twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    return table


def _view(mapped: mmap.mmap, start: int, row: Json) -> np.ndarray:
    with contextlib.suppress(AttributeError):  # systems without madvise keep the pages
        mapped.madvise(mmap.MADV_DONTNEED)
    dtype, shape = np.dtype(DTYPES[row["dtype"]]), tuple(row["shape"])
    offset = start + row["data_offsets"][0]
    return np.frombuffer(mapped, dtype, int(np.prod(shape, dtype=np.int64)), offset).reshape(shape)
