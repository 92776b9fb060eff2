"""The batch at step t, a pure function of (seed, t): so a resumed run is the run."""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grain
import numpy as np

from tljax import pictures
from tljax.errors import DataError
from tljax.splits import Subset
from tljax.types import Batch, Card

THREADS = 4  # decoding releases the lock; on 2 cores 4 threads beat 2 (751 against about 600 pictures/s)


class Pictures:
    """The pictures of one part as uint8 (S, S, C), in memory or decoded anew for every batch."""

    def __init__(self, subset: Subset, config: Any, card: Card) -> None:
        """Decode everything once if `data.in_memory`.

        Raises:
          DataError: unreadable pictures (all are listed) unless `data.unreadable` is "skip"; pictures
            of different sizes where `data.resize` is 0.
        """
        self.subset, self.skipped = subset, ()
        self._resize, self._interpolation = config.resize, card.interpolation
        self.in_memory = config.in_memory
        if self.in_memory:
            self._decode_all(skip=config.unreadable == "skip")

    def __len__(self) -> int:
        return len(self.subset)

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, S, C) of every picture."""
        return self.images.shape[1:] if self.in_memory else self._read(0).shape

    def take(self, positions: np.ndarray) -> Batch:
        """{"image": (B, S, S, C) uint8, "label": (B,) int32}."""
        if self.in_memory:
            images = self.images[positions]
        else:
            decoded = [self._read(int(i)) for i in positions]
            images = _stack(decoded, [self.subset[int(i)]["id"] for i in positions])
        return {"image": images, "label": self.subset.labels[positions]}

    def _read(self, position: int) -> np.ndarray:
        try:
            image = self.subset[position]["image"]
        except ValueError as error:
            raise DataError(f"Example {position} of the split must be a readable picture: {error}.") from error
        return pictures.fit(image, self._resize, interpolation=self._interpolation) if self._resize else image

    def _decode_all(self, *, skip: bool) -> None:
        def attempt(position: int) -> tuple[np.ndarray | None, str]:
            try:
                return self._read(position), ""
            except DataError as error:
                return None, str(error.__cause__)

        with ThreadPoolExecutor(THREADS) as pool:
            results = list(pool.map(attempt, range(len(self.subset))))
        bad = [f"{_name(self.subset, i)}: {why}" for i, (_, why) in enumerate(results) if why]
        if bad and not skip:
            raise DataError(
                f"Every picture must be readable; {len(bad)} of {len(results)} are not:\n  "
                + "\n  ".join(bad)
                + "\nRepair or remove them, or set config.data.unreadable=skip to leave them out, counted and listed."
            )
        good = np.array([i for i, (_, why) in enumerate(results) if not why])
        self.subset, self.skipped = self.subset.take(good), tuple(bad)
        self.images = _stack([results[i][0] for i in good], [_name(self.subset, i) for i in range(len(good))])


class Training:
    """An endless stream of shuffled epochs, cut into batches: every example once an epoch, none dropped."""

    def __init__(self, pictures: Pictures, *, batch_size: int, seed: int) -> None:
        self.pictures, self.batch_size, self.seed = pictures, batch_size, seed
        self._order = functools.lru_cache(maxsize=4)(self._shuffled)

    def __call__(self, step: int) -> Batch:
        """The batch at `step`; "position" numbers its examples for their own random numbers."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = np.divmod(places, len(self.pictures))
        positions = np.array([self._order(int(e))[o] for e, o in zip(epochs, offsets, strict=True)])
        place = np.arange(self.batch_size, dtype=np.int32)
        return {**self.pictures.take(positions), "position": place}

    def steps(self, epochs: float) -> int:
        """Updates in so many passes, at least one."""
        return max(1, round(epochs * len(self.pictures) / self.batch_size))

    def stream(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps start..stop-1; decoding, where needed, runs ahead in threads."""
        if self.pictures.in_memory:
            return map(self, range(start, stop))
        options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=2 * THREADS)
        return iter(grain.MapDataset.range(start, stop).map(self).to_iter_dataset(options))

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.pictures))


class Evaluation:
    """Every example once, in order; the last batch is filled up and `mask` says with how many."""

    def __init__(self, pictures: Pictures, *, batch_size: int) -> None:
        self.pictures, self.batch_size = pictures, batch_size

    def __iter__(self) -> Iterator[Batch]:
        for first in range(0, len(self.pictures), self.batch_size):
            places = np.arange(first, first + self.batch_size)
            mask = places < len(self.pictures)
            batch = self.pictures.take(np.where(mask, places, 0))
            yield {**batch, "mask": mask, "position": np.arange(self.batch_size, dtype=np.int32)}


def _name(subset: Subset, position: int) -> str:
    files = getattr(subset.split, "files", None)
    return str(files[subset.indices[position]]) if files else f"example {subset.indices[position]}"


def _stack(images: list[Any], names: list[str]) -> np.ndarray:
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        first = images[0].shape
        other = next(i for i, image in enumerate(images) if image.shape != first)
        raise DataError(
            f"Pictures must be of one size when config.data.resize is 0; got {first} ({names[0]}) and "
            f"{images[other].shape} ({names[other]}). Set config.data.resize to the pixels of the shorter side."
        )
    return np.stack(images)
