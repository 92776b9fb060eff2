"""Rows that were computed once, on disk, each under the key of its example: whole or not at all.

A shard is <sha256>.bin, rows one after another under the checksum of their bytes, and <sha256>.json with their
keys, dtype and shape, written last. What a kill leaves behind has no json; what was damaged does not match its name.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock
import jax.numpy as jnp
import numpy as np

from tljax.atomic import write

Found = tuple[np.ndarray, int]  # the rows of a shard, and the place of one among them


class Store:
    """The rows of one folder; several processes may share it."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """`say` is told of shards that are damaged; they are left out, and so computed again."""
        self.folder, self._say, self._said = folder, say, set()

    def lock(self) -> filelock.BaseFileLock:
        """Held while rows are computed, so that a second process waits for them instead of computing them too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(self.folder / ".lock")

    def read(self) -> dict[str, Found]:
        """Where the row of every key lies; shards are mapped from disk."""
        found = {}
        for index in sorted(self.folder.glob("*.json")):
            found |= self._shard(index)
        return found

    def add(self, keys: Sequence[str], rows: np.ndarray) -> None:
        """Keep `rows`, one a key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        data = np.ascontiguousarray(rows).tobytes()
        name = hashlib.sha256(data).hexdigest()
        part = self.folder / f"{name}.part{os.getpid()}"
        part.write_bytes(data)
        part.replace(self.folder / f"{name}.bin")
        index = {"keys": list(keys), "dtype": str(rows.dtype), "shape": list(rows.shape)}
        write(self.folder / f"{name}.json", json.dumps(index))

    def _shard(self, index: Path) -> dict[str, Found]:
        """The keys of one shard; none where it is damaged."""
        data = index.with_suffix(".bin")
        try:
            found = json.loads(index.read_text())
            with data.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != index.stem:
                    raise ValueError("its bytes do not match their checksum")
            rows = np.memmap(data, jnp.dtype(found["dtype"]), mode="r", shape=tuple(found["shape"]))
            if len(found["keys"]) != len(rows):
                raise ValueError("its rows and keys differ in number")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if index not in self._said:
                self._say(f"cached features in {data} are damaged ({error}); they are computed again")
            self._said.add(index)
            return {}
        return {key: (rows, place) for place, key in enumerate(found["keys"])}
