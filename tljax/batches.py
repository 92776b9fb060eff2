"""The batch at step t, a pure function of (seed, t): so a resumed run is the run."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import grain
import numpy as np

from tljax import pictures
from tljax.errors import DataError
from tljax.splits import Subset
from tljax.types import Batch, Card

THREADS = 4  # decoding releases the interpreter's lock
WINDOW = 32  # batches whose examples are sorted by length, where they have one
Made = TypeVar("Made")


class Examples(Protocol):
    """One part by position: pictures, or what was made of them."""

    in_memory: bool  # whether `take` needs no thread
    views: int  # how often every example is there: position v * len + i is view v of example i

    def __len__(self) -> int: ...
    def take(self, positions: np.ndarray) -> Batch: ...


class Pictures:
    """The pictures of one part as uint8 (S, S, C), in memory or decoded anew for every batch."""

    views = 1

    def __init__(self, subset: Subset, config: Any, card: Card) -> None:
        """Decode everything once if `data.in_memory` or if what is unreadable is to be skipped.

        Otherwise an unreadable picture is an error when its batch is made.

        Raises:
          DataError: unreadable pictures (all are listed) unless `data.unreadable` is "skip", or no
            picture of a class is left; pictures of different sizes where `data.resize` is 0.
        """
        self.subset, self.skipped = subset, ()
        self._resize, self._interpolation = config.resize, card.interpolation
        self.in_memory, self.images = config.in_memory, None
        skip = config.unreadable == "skip"
        if self.in_memory or skip:
            images = self._decode_all(skip=skip)
            self.images = _stack(images, self._name) if self.in_memory else None  # (N, S, S, C)

    def __len__(self) -> int:
        return len(self.subset)

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, S, C) of every picture."""
        return self.take(np.array([0]))["image"].shape[1:]

    def take(self, positions: np.ndarray) -> Batch:
        """{"image": (B, S, S, C) uint8, "label": (B,) int32}."""
        if self.images is not None:
            images = self.images[positions]
        else:
            images = _stack([self._read(int(i)) for i in positions], lambda i: self._name(int(positions[i])))
        return {"image": images, "label": self.subset.labels[positions]}

    def fingerprint(self) -> str:
        """sha256 of the labels and of the pictures, or of their names where they are not in memory."""
        digest = hashlib.sha256(self.subset.labels.tobytes())
        if self.images is None:
            digest.update(json.dumps([self._name(i) for i in range(len(self))]).encode())
        else:
            digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()

    def _read(self, position: int) -> np.ndarray:
        try:
            image = self.subset[position]["image"]
        except ValueError as error:
            raise DataError(f"Every picture must be readable; {self._name(position)} is not: {error}.") from error
        return pictures.fit(image, self._resize, interpolation=self._interpolation) if self._resize else image

    def _decode_all(self, *, skip: bool) -> list[Any]:
        """The readable pictures (None in their places, unless in memory); the others leave the subset."""

        def attempt(position: int) -> tuple[np.ndarray | None, str]:
            try:
                image = self._read(position)
            except DataError as error:
                return None, f"{self._name(position)}: {error.__cause__}"
            return image if self.in_memory else None, ""

        with ThreadPoolExecutor(THREADS) as pool:
            results = list(pool.map(attempt, range(len(self.subset))))
        bad = [why for _, why in results if why]
        kept = self.subset.take(np.flatnonzero([not why for _, why in results]))
        if bad and (not skip or set(kept.strata) != set(self.subset.strata)):
            raise DataError(
                f"Every picture must be readable{', or some of every class' if skip else ''}; "
                f"{len(bad)} of {len(results)} are not:\n  "
                + "\n  ".join(bad)
                + "\nRepair or remove them, or set config.data.unreadable=skip to leave them out, counted and listed."
            )
        self.subset, self.skipped = kept, tuple(bad)
        return [image for image, why in results if not why]

    def _name(self, position: int) -> str:
        """What people call an example: its file, where it has one."""
        index, files = self.subset.indices[position], getattr(self.subset.split, "files", None)
        return str(files[index]) if files else f"example {index}"


def one_shape(parts: Mapping[str, Pictures]) -> tuple[int, ...]:
    """(S, S, C) of the pictures of all parts.

    Raises:
      DataError: they differ between parts.
    """
    shapes = {name: part.shape for name, part in parts.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(
            f"Pictures of all parts must be of one size when config.data.resize is 0; got {shapes}. "
            f"Set config.data.resize to the pixels of the shorter side."
        )
    return next(iter(shapes.values()))


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
        """Updates in so many passes, at least one."""
        return max(1, round(epochs * len(self.pictures) / self.batch_size))

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


def _stack(images: list[Any], name: Callable[[int], str]) -> np.ndarray:
    shapes = [image.shape for image in images]
    other = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        raise DataError(
            f"Pictures must be of one size when config.data.resize is 0; got {shapes[0]} ({name(0)}) and "
            f"{shapes[other]} ({name(other)}). Set config.data.resize to the pixels of the shorter side."
        )
    return np.stack(images)
