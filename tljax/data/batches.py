"""The batch at step t, a pure function of (seed, t): so a resumed run is the run."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import grain
import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.types import Batch
from tljax.data.pictures import THREADS

WINDOW = 32  # batches whose examples are sorted by length, where they have one
Made = TypeVar("Made")


class Examples(Protocol):
    """One part by position: pictures, or what was made of them."""

    in_memory: bool  # whether `take` needs no thread
    views: int  # how often every example is there: position v * len + i is view v of example i

    def __len__(self) -> int: ...
    def take(self, positions: np.ndarray) -> Batch: ...


class Training:
    """An endless stream of shuffled epochs, cut into batches: every example once an epoch, none dropped."""

    def __init__(self, pictures: Examples, *, batch_size: int, seed: int, weights: np.ndarray | None = None) -> None:
        """`weights` (K,), where given, puts the "weight" of its class beside every example."""
        self.pictures, self.batch_size, self.seed, self.weights = pictures, batch_size, seed, weights
        self._order = functools.lru_cache(maxsize=4)(self._shuffled)

    @property
    def parts(self) -> tuple[Examples, ...]:
        """What its batches are made of."""
        return (self.pictures,)

    def __call__(self, step: int) -> Batch:
        """The batch at `step`; "position" numbers its examples for their own random numbers."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = np.divmod(places, len(self.pictures))
        positions = np.array([self._order(int(e))[o] for e, o in zip(epochs, offsets, strict=True)])
        positions += epochs % self.pictures.views * len(self.pictures)
        place = np.arange(self.batch_size, dtype=np.int32)
        batch = {**self.pictures.take(positions), "position": place}
        return batch if self.weights is None else batch | {"weight": self.weights[batch["label"]]}

    def steps(self, epochs: float) -> int:
        """Updates in so many passes, at least one; ConfigError where an int32 does not count them."""
        updates = epochs * len(self.pictures) / self.batch_size
        if updates >= 2**31 - 1:
            raise ConfigError(f"config.train.epochs must make less than 2**31 updates; {epochs:g} makes {updates:g}.")
        return max(1, round(updates))

    @property
    def steps_to_all(self) -> int:
        """Updates until every example has been seen; the last batch may hold some of the next epoch's."""
        return math.ceil(len(self.pictures) / self.batch_size)

    def stream(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps start..stop-1; decoding, where needed, runs ahead in threads."""
        return ahead(self, range(start, stop), threads=not self.pictures.in_memory)

    def _shuffled(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        order, lengths = rng.permutation(len(self.pictures)), getattr(self.pictures, "lengths", None)
        return order if lengths is None else _by_length(order, lengths, self.batch_size, rng)


def _by_length(order: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """The same order, but that batches hold examples of like length, so that little of them is padding.

    Windows of WINDOW batches are sorted by length, and their batches shuffled.
    """
    mixed = []
    for begin in range(0, len(order), WINDOW * batch_size):
        window = order[begin : begin + WINDOW * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        whole = len(window) // batch_size * batch_size  # what is left over comes last, and moves no batch's bounds
        mixed += [rng.permutation(window[:whole].reshape(-1, batch_size)).ravel(), window[whole:]]
    return np.concatenate(mixed)


class Evaluation:
    """Every example once, in `order`; the last batch is filled up, and `mask` is False where it is."""

    def __init__(self, pictures: Examples, *, batch_size: int) -> None:
        self.pictures, self.batch_size = pictures, batch_size
        self.order = by_length(pictures, np.arange(len(pictures)))

    def __call__(self, number: int) -> Batch:
        """Batch `number`, from 0; "position" is that in the part, the same in batches of any size."""
        places = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        mask = places < len(self.pictures)
        positions = self.order[np.where(mask, places, 0)]
        return {**self.pictures.take(positions), "mask": mask, "position": positions.astype(np.int32)}

    def __iter__(self) -> Iterator[Batch]:
        batches = range(-(-len(self.pictures) // self.batch_size))
        return ahead(self, batches, threads=not self.pictures.in_memory)


def by_length(examples: Examples, positions: np.ndarray) -> np.ndarray:
    """`positions` in an order in which batches hold texts of like length; of pictures as they are."""
    lengths = getattr(examples, "lengths", None)
    return positions if lengths is None else positions[np.argsort(lengths[positions], kind="stable")]


def ahead(make: Callable[[int], Made], numbers: range, *, threads: bool) -> Iterator[Made]:
    """`make` of every number in order: where pictures are decoded, in threads and ahead of time."""
    if not threads:
        return map(make, numbers)
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=2 * THREADS)
    return iter(grain.MapDataset.range(numbers.start, numbers.stop).map(make).to_iter_dataset(options))
