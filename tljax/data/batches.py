"""The batch at step t is a pure function of (seed, t), so a resumed run gets the same batches."""

import functools
import math
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Protocol, TypeVar, runtime_checkable

import grain
import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.processes.agreement import Share
from tljax.core.types import Batch, Rows
from tljax.data.pictures import THREADS

ALL = Share()
WINDOW = 32  # texts are sorted by length within windows of this many batches
NOTHING: Rows = MappingProxyType({})
Made = TypeVar("Made")


class Examples(Protocol):
    """The examples of one part by position: pictures, tokens, or cached features."""

    in_memory: bool  # whether `take` needs no thread
    views: int  # number of views of every example: position v * len + i is view v of example i

    def __len__(self) -> int: ...
    def take(self, positions: np.ndarray) -> Batch: ...


@runtime_checkable
class HasLengths(Protocol):
    """Examples that may differ in length: texts. A batch holds examples of similar length."""

    lengths: np.ndarray | None  # (N,) tokens; None: all have one length


@runtime_checkable
class HasKnown(Protocol):
    """Examples with more by which their answers are judged."""

    @property
    def known(self) -> Rows:
        """By name, (N, ...) in the part's order."""
        ...


def lengths_of(examples: object) -> np.ndarray | None:
    """(N,) tokens of every example; None for other examples than texts."""
    return examples.lengths if isinstance(examples, HasLengths) else None


def known_of(examples: object) -> Rows:
    """What answers are judged by besides the batches; {} if that is nothing."""
    return examples.known if isinstance(examples, HasKnown) else NOTHING


class Training:
    """An endless stream of shuffled epochs, cut into batches: every example once an epoch, none dropped."""

    def __init__(
        self,
        pictures: Examples,
        *,
        batch_size: int,
        seed: int,
        weights: np.ndarray | None = None,
        beside: Rows = NOTHING,
        share: Share = ALL,
    ) -> None:
        """
        Args:
          beside: more of every example, (N, ...), which stands in a batch under its name.
          weights: (K,), where given, puts the "weight" of its class beside every example.
          share: which rows of every batch are read; those of the other processes they read themselves.
        """
        self.pictures, self.batch_size, self.seed, self.weights = pictures, batch_size, seed, weights
        self.share, self.beside = share, beside
        self._order = functools.lru_cache(maxsize=4)(self._shuffled)

    @property
    def parts(self) -> tuple[Examples, ...]:
        """The parts that the batches come from."""
        return (self.pictures,)

    def __call__(self, step: int) -> Batch:
        """The batch at `step`; "position" numbers its examples for their own random numbers."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = np.divmod(places, len(self.pictures))
        positions = np.array([self._order(int(e))[o] for e, o in zip(epochs, offsets, strict=True)])
        rows = {name: self.share.of(rows[positions]) for name, rows in self.beside.items()}
        positions += epochs % self.pictures.views * len(self.pictures)
        place = np.arange(self.batch_size, dtype=np.int32)
        batch = {**taken(self.pictures, positions, self.share), "position": self.share.of(place), **rows}
        return batch if self.weights is None else batch | {"weight": self.weights[batch["label"]]}

    def steps(self, epochs: float) -> int:
        """Number of updates in `epochs`, at least one; ConfigError if it does not fit into an int32."""
        updates = epochs * len(self.pictures) / self.batch_size
        if updates >= 2**31 - 1:
            raise ConfigError(f"config.train.epochs must make less than 2**31 updates; {epochs:g} makes {updates:g}.")
        return max(1, round(updates))

    @property
    def steps_to_all(self) -> int:
        """Number of updates until every example has been used; the last batch may hold some of the next epoch."""
        return math.ceil(len(self.pictures) / self.batch_size)

    def stream(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps start..stop-1; pictures are decoded ahead in threads if necessary."""
        return ahead(self, range(start, stop), threads=not self.pictures.in_memory)

    def _shuffled(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        order, lengths = rng.permutation(len(self.pictures)), lengths_of(self.pictures)
        return order if lengths is None else _by_length(order, lengths, self.batch_size, rng)


def _by_length(order: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """The order changed so that a batch holds examples of similar length, with little padding.

    Windows of WINDOW batches are sorted by length, then the batches of a window are shuffled.
    """
    mixed = []
    for begin in range(0, len(order), WINDOW * batch_size):
        window = order[begin : begin + WINDOW * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        whole = len(window) // batch_size * batch_size  # the incomplete batch comes last, so batch bounds do not move
        mixed += [rng.permutation(window[:whole].reshape(-1, batch_size)).ravel(), window[whole:]]
    return np.concatenate(mixed)


class Evaluation:
    """Every example once, in `order`; the last batch is padded, and `mask` is False at the padding."""

    def __init__(self, pictures: Examples, *, batch_size: int, share: Share = ALL) -> None:
        """`share`: see `Training`."""
        self.pictures, self.batch_size, self.share = pictures, batch_size, share
        self.order = by_length(pictures, np.arange(len(pictures)))

    def __call__(self, number: int) -> Batch:
        """Batch `number`, from 0; "position" is the position in the part, which does not depend on the batch size."""
        places = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        mask = places < len(self.pictures)
        positions = self.order[np.where(mask, places, 0)]
        own = {"mask": self.share.of(mask), "position": self.share.of(positions.astype(np.int32))}
        return taken(self.pictures, positions, self.share) | own

    @property
    def known(self) -> Rows:
        """What answers are judged by besides the batches, (N, ...) in the part's order; it stays on the host."""
        return known_of(self.pictures)

    def counts(self, number: int) -> int:
        """How many rows of batch `number` are examples; what fills it up comes behind them."""
        return min(self.batch_size, len(self.pictures) - number * self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        batches = range(-(-len(self.pictures) // self.batch_size))
        return ahead(self, batches, threads=not self.pictures.in_memory)


def taken(examples: Examples, positions: np.ndarray, share: Share) -> Batch:
    """The rows of a batch that are this process's. Texts are padded to the longest of the batch, not of the share."""
    if lengths_of(examples) is None:
        return examples.take(share.of(positions))
    return {name: share.of(x) for name, x in examples.take(positions).items()}


def by_length(examples: Examples, positions: np.ndarray) -> np.ndarray:
    """`positions` sorted so that a batch holds texts of similar length; unchanged for pictures."""
    lengths = lengths_of(examples)
    return positions if lengths is None else positions[np.argsort(lengths[positions], kind="stable")]


def ahead(make: Callable[[int], Made], numbers: range, *, threads: bool) -> Iterator[Made]:
    """`make(number)` for every number in order; with `threads`, computed ahead in threads."""
    if not threads:
        return map(make, numbers)
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=2 * THREADS)
    return iter(grain.MapDataset.range(numbers.start, numbers.stop).map(make).to_iter_dataset(options))
