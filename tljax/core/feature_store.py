"""Computed rows of features on disk, each under the key of its example, written whole or not at all.

If the disk is full, the run goes on: further rows stay in memory, and the user is told once.

A shard is <sha256>.bin with the rows one after another, and <sha256>.json with their keys, dtype, shape and checksum.
The json is written last; both names are the hash of keys and rows. After a kill a shard has no json, and the next
process that computes here removes it. A damaged shard does not match its checksum.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import filelock
import jax.numpy as jnp
import numpy as np

from tljax.core import atomic, caches, untrusted
from tljax.core.atomic import make_folder, whole, write_json, writing
from tljax.core.errors import ConfigError

Stored = tuple[np.ndarray, int]  # the rows of a shard, and the index of one of them


class Store:
    """The rows of one folder; several processes may share it."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """`say` gets a message for each damaged shard; its rows are computed again."""
        self.folder, self._say, self._said = folder, say, set()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this lock while computing rows: a second process waits for the rows instead of computing them too."""
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
            for part in self.folder.glob("*.part*"):  # of a killed process, because only this process writes now
                part.unlink(missing_ok=True)
        except ConfigError as error:  # without a lock, processes do not share rows
            self._refused(error)
        try:
            yield
        finally:
            lock.release()

    def read(self) -> dict[str, Stored]:
        """Key -> its row; shards are mapped from disk."""
        caches.used(self.folder)
        rows = {}
        for index in sorted(self.folder.glob("*.json")):
            rows |= self._shard(index)
        return rows

    def add(self, keys: Sequence[str], rows: np.ndarray) -> dict[str, Stored]:
        """Store `rows`, one for each key; returns key -> row, in memory if the disk refuses them."""
        data = np.ascontiguousarray(rows).tobytes()
        sha256 = hashlib.sha256(data).hexdigest()
        index = {"keys": list(keys), "dtype": str(rows.dtype), "shape": list(rows.shape), "sha256": sha256}
        name = hashlib.sha256(json.dumps(index).encode()).hexdigest()
        try:
            make_folder(self.folder)
            with whole(self.folder / f"{name}.bin") as part:
                part.write_bytes(data)
            write_json(self.folder / f"{name}.json", index)
        except ConfigError as error:
            self._refused(error)
            return {key: (rows, place) for place, key in enumerate(keys)}
        return self._shard(self.folder / f"{name}.json") or {key: (rows, place) for place, key in enumerate(keys)}

    def _refused(self, error: ConfigError) -> None:
        if self.folder not in self._said:
            self._say(f"features cannot be written to disk; this run keeps them in memory. {error}")
        self._said.add(self.folder)

    def _shard(self, index: Path) -> dict[str, Stored]:
        """The rows of one shard; {} if it is damaged."""
        data = index.with_suffix(".bin")
        try:
            content = untrusted.parse(index.read_text(encoding="utf-8"))
            if atomic.sha256(data) != content["sha256"]:
                raise ValueError("its bytes do not match their checksum")
            rows = np.memmap(data, jnp.dtype(content["dtype"]), mode="r", shape=tuple(content["shape"]))
            if len(content["keys"]) != len(rows) or not all(isinstance(key, str) for key in content["keys"]):
                raise ValueError("it must have a key for each row")
        except Exception as error:  # damaged bytes can raise any error
            if index not in self._said:
                self._say(f"cached features in {data} are damaged ({error}); they are computed again")
            self._said.add(index)
            return {}
        return {key: (rows, place) for place, key in enumerate(content["keys"])}
