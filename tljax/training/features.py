"""Cached features: the output of frozen stages (`prefix`), computed once for all epochs, runs and seeds.

A row is stored under its example's key, the sha256 of the stored picture or tokens (and of a label that changes with
the picture), in a folder named by a hash of the program and its weights. So parts may overlap, and splits may change
with the seed: existing rows are used.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core import caches
from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.feature_store import Store, Stored
from tljax.core.types import Batch
from tljax.data.batches import ahead, by_length, known_of, lengths_of
from tljax.reporting import throughput
from tljax.reporting.terminal import Screen
from tljax.training.parallel import Parallel
from tljax.training.prefix import Prefix, inputs_of

SHARD = 2**28  # bytes of rows that are written together: the most that a kill loses

Rows = Callable[[np.ndarray], dict[str, np.ndarray]]  # positions -> their rows, by the names of `Prefix.step`


def folder() -> Path:
    """The folder of cached features: "features" in $TLJAX_CACHE, or in ~/.cache/tljax."""
    return caches.folder("features")


@dataclasses.dataclass(frozen=True)
class Took:
    """The time and the tokens that computing features took."""

    seconds: float = 0.0
    tokens: int = 0  # for texts; see `throughput.places`, for `places` too
    places: int = 0

    def __add__(self, other: "Took") -> "Took":
        return Took(self.seconds + other.seconds, self.tokens + other.tokens, self.places + other.places)


class Cached:
    """A part as rows of features (from `Prefix.step`) with labels. `fill`, or the first `take`, computes the rows;
    `took` then holds its time.
    """

    in_memory = True  # reading a row needs no thread

    def __init__(
        self,
        examples: Any,
        name: str,
        prefix: Prefix,
        screen: Screen,
        *,
        where: str,
        batch_size: int,
        views: int = 1,
    ) -> None:
        """
        Args:
          name: the name of the part, for the user.
          where: "disk": stored on disk and mapped; "memory": stored on disk and read; "process": never on disk.
          views: number of augmented views of every example.
        """
        self.examples, self.views, self.skipped = examples, views, examples.skipped
        self.lengths = lengths_of(examples)  # for texts: batches are ordered by them
        self.took = Took()
        # A store has one writer, and rows of several processes have no keys of their own (`_keys`).
        self._where = "process" if prefix.share.count > 1 else where
        self._name, self._prefix, self._screen = name, prefix, screen
        self._batch_size, self._rows = batch_size, None

    def __len__(self) -> int:
        return len(self.examples)

    def take(self, positions: np.ndarray) -> Batch:
        """The rows at `positions`; view v of example i stands at v * len(self) + i."""
        labels = self.examples.subset.labels
        return self.fill()(positions) | ({} if labels is None else {"label": labels[positions % len(self)]})

    @property
    def known(self) -> Mapping[str, np.ndarray]:
        return known_of(self.examples)

    def fingerprint(self) -> str:
        return self.examples.fingerprint()

    def fill(self) -> Rows:
        """Compute the rows that are not stored yet. A second call does nothing.

        Returns:
          A function: positions -> their rows.
        """
        if self._rows is None:
            self._rows = self._filled()
        return self._rows

    def _filled(self) -> Rows:
        keys, began = self._keys(), time.monotonic()
        if self._where == "process":
            places, missing = np.arange(len(keys)), len(keys)
            order, blocks = zip(*self._computed(keys, places), strict=True)
            back = np.argsort(np.concatenate(order))
            rows = _of_arrays({name: np.concatenate([block[name] for block in blocks])[back] for name in blocks[0]})
        else:
            stored, missing = self._stored(keys)
            rows = _gather(stored)
            rows = _of_arrays(rows(np.arange(len(keys)))) if self._where == "memory" else rows
        took = time.monotonic() - began
        self.took += Took(seconds=took)
        origin = f"{missing:,} computed, {len(keys) - missing:,} found" if missing else "all found"
        self._screen.say(f"features of {self._name}: {len(keys):,} rows {self._prefix.shapes}, {origin}, {took:.1f} s")
        return rows

    def _stored(self, keys: list[str]) -> tuple[dict[str, list[Stored]], int]:
        """The rows of every key on disk, by name; and the number of keys that had to be computed."""
        store = Store(folder() / self._prefix.key, self._screen.say)
        stored = store.read()
        missing = self._missing(keys, stored)
        if missing:
            with store.lock():
                stored = store.read()  # another process may have computed rows meanwhile
                missing = self._missing(keys, stored)
                for places, rows in self._computed(keys, np.array(sorted(missing.values()), int)):
                    for name, array in rows.items():
                        stored |= store.add([_row_key(keys[place], name) for place in places], array)
        return {name: [stored[_row_key(key, name)] for key in keys] for name in self._prefix.row}, len(missing)

    def _missing(self, keys: Sequence[str], stored: Mapping[str, Stored]) -> dict[str, int]:
        """Key -> position, for the keys with a missing row; examples with the same key are computed once."""
        names = tuple(self._prefix.row)
        return {key: i for i, key in enumerate(keys) if not all(_row_key(key, name) in stored for name in names)}

    def _keys(self) -> list[str]:
        """The sha256 of every stored example, with the number of the view where it is augmented.

        Several processes keep no rows, and read no example that they need not: a plain row then has a number.
        """
        if self._prefix.share.count > 1 and not self._prefix.augment:
            return [str(position) for position in range(len(self))]

        def key(position: int) -> str:
            digest = hashlib.sha256()
            for name, x in sorted(inputs_of(self.examples, np.array([position])).items()):
                digest.update(f"{name} {x.shape}".encode() + x.tobytes())
            return digest.hexdigest()

        keys = list(ahead(key, range(len(self)), threads=not self.examples.in_memory))
        return [f"{key}:{view}" for view in range(self.views) for key in keys] if self._prefix.augment else keys

    def _computed(self, keys: list[str], places: np.ndarray) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """(places, their rows), as many at a time as make up a shard."""
        size = self._batch_size
        places = by_length(self, places)
        blocks = [places[i : i + size] for i in range(0, len(places), size)]
        together = max(1, SHARD // (self._prefix.row_bytes * size))  # blocks a shard

        share = self._prefix.share

        def batch(number: int) -> Batch:
            some = np.resize(blocks[number], size)  # the last one is filled up with its own first examples
            seeds = [int(hashlib.sha256(keys[place].encode()).hexdigest()[:7], 16) for place in share.of(some)]
            return inputs_of(self.examples, some % len(self), share) | {"position": np.array(seeds, np.int32)}

        batches = ahead(batch, range(len(blocks)), threads=not self.examples.in_memory)
        shard = []
        with self._screen.progress(f"features of {self._name}", 0, len(places)) as advance:
            for number, rows in enumerate(self._prefix.run(self._counted(batches), self._screen), start=1):
                shard.append({name: array[: len(blocks[number - 1])] for name, array in rows.items()})
                advance(min(number * size, len(places)), "")
                if number % together == 0 or number == len(blocks):
                    rows = {name: np.concatenate([block[name] for block in shard]) for name in shard[0]}
                    yield np.concatenate(blocks[number - len(shard) : number]), rows
                    shard = []

    def _counted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; adds their tokens to `took`."""
        for batch in batches:
            tokens, places = throughput.places(batch)
            self.took += Took(tokens=tokens, places=places)
            yield batch


def _row_key(key: str, name: str) -> str:
    """The key in the store for the row `name` of an example."""
    return key if name == "features" else f"{key}/{name}"


def _of_arrays(arrays: Mapping[str, np.ndarray]) -> Rows:
    return lambda places: {name: array[places] for name, array in arrays.items()}


def _gather(stored: Mapping[str, Sequence[Stored]]) -> Rows:
    """A function from positions to rows, which lie in several arrays for each name."""
    gather = {name: _gather_one(some) for name, some in stored.items()}
    return lambda places: {name: one(places) for name, one in gather.items()}


def _gather_one(stored: Sequence[Stored]) -> Callable[[np.ndarray], np.ndarray]:
    arrays = list({id(array): array for array, _ in stored}.values())
    number = {id(array): i for i, array in enumerate(arrays)}
    which = np.array([number[id(array)] for array, _ in stored])
    place = np.array([place for _, place in stored])

    def rows(places: np.ndarray) -> np.ndarray:
        out = np.empty((len(places), *arrays[0].shape[1:]), arrays[0].dtype)
        for i, array in enumerate(arrays):
            ours = np.flatnonzero(which[places] == i)
            out[ours] = array[place[places[ours]]]
        return out

    return rows


def vectors(
    experiment: Experiment, where: str, devices: Parallel, screen: Screen, config: ConfigDict
) -> dict[str, Cached]:
    """Every part as features (N, D) before the head, without augmentation; see `cached`.

    Raises:
      ConfigError: the head's input is not one vector.
    """
    if experiment.network.reads:
        raise ConfigError(
            f"This needs one feature vector for each example; the head of config.task.name={config.task.name} reads "
            f"the stages {', '.join(experiment.network.reads)}. Choose another task, or a strategy that takes steps."
        )
    parts, _ = cached(experiment, None, where, devices, screen, config)
    return parts


def cached(
    experiment: Experiment, stop: str | None, where: str, devices: Parallel, screen: Screen, config: ConfigDict
) -> tuple[dict[str, Cached], Cached]:
    """Features after stage `stop` (see `Prefix`): every part for evaluation, and the training part for training."""
    size, views, train = config.train.eval_batch_size, config.data.cached_views, experiment.parts["train"]
    plain = Prefix(experiment, stop, devices)
    parts = {n: Cached(part, n, plain, screen, where=where, batch_size=size) for n, part in experiment.parts.items()}
    if not experiment.augmented:
        return parts, parts["train"]
    drawn = Prefix(experiment, stop, devices, augment=True)
    return parts, Cached(train, "train, augmented", drawn, screen, where=where, batch_size=size, views=views)
