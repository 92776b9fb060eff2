"""Rows that were computed once, on disk, each under the key of its example: whole or not at all.

A disk that takes no more is no fault of the run: what it does not take stays in memory, and that is said once.

A shard is <sha256>.bin, rows one after another, and <sha256>.json with their keys, dtype, shape and the checksum of
their bytes, written last; both are named after keys and bytes. What a kill leaves behind has no json, and is taken away
by who next computes here; what was damaged does not match its checksum.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import filelock
import jax.numpy as jnp
import numpy as np

from tljax.core import caches, untrusted
from tljax.core.atomic import make_folder, whole, write_json, writing
from tljax.core.errors import ConfigError

Found = tuple[np.ndarray, int]  # the rows of a shard, and the place of one among them


class Store:
    """The rows of one folder; several processes may share it."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """`say` is told of shards that are damaged; they are left out, and so computed again."""
        self.folder, self._say, self._said = folder, say, set()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held while rows are computed, so that a second process waits for them instead of computing them too."""
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
            for part in self.folder.glob("*.part*"):  # of a process that was killed: no other writes now
                part.unlink(missing_ok=True)
        except ConfigError as error:  # then no process can share them
            self._refused(error)
        try:
            yield
        finally:
            lock.release()

    def read(self) -> dict[str, Found]:
        """Where the row of every key lies; shards are mapped from disk."""
        caches.used(self.folder)
        found = {}
        for index in sorted(self.folder.glob("*.json")):
            found |= self._shard(index)
        return found

    def add(self, keys: Sequence[str], rows: np.ndarray) -> dict[str, Found]:
        """Keep `rows`, one a key: where they lie now, which is in memory where the disk does not take them."""
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
            self._say(f"features cannot be kept on disk; those of this run stay in memory. {error}")
        self._said.add(self.folder)

    def _shard(self, index: Path) -> dict[str, Found]:
        """The keys of one shard; none where it is damaged."""
        data = index.with_suffix(".bin")
        try:
            found = untrusted.parse(index.read_text(encoding="utf-8"))
            with data.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != found["sha256"]:
                    raise ValueError("its bytes do not match their checksum")
            rows = np.memmap(data, jnp.dtype(found["dtype"]), mode="r", shape=tuple(found["shape"]))
            if len(found["keys"]) != len(rows):
                raise ValueError("its rows and keys differ in number")
        except Exception as error:  # of damaged bytes: no kind of error is ruled out
            if index not in self._said:
                self._say(f"cached features in {data} are damaged ({error}); they are computed again")
            self._said.add(index)
            return {}
        return {key: (rows, place) for place, key in enumerate(found["keys"])}
