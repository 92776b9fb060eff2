"""The pictures of one part: decoded once into memory, or anew for every batch; what is unreadable named."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from tljax.core.errors import DataError
from tljax.core.types import Batch, Card
from tljax.data import pictures
from tljax.data.splits import Subset

CHUNK = 1024  # pictures that wait for a thread at a time


class Pictures:
    """The pictures of one part as uint8 (S, S, C), in memory or decoded anew for every batch; their labels too."""

    views = 1
    rows = 0  # of boxes, to which every example's list is filled up

    def __init__(self, subset: Subset, config: Any, card: Card) -> None:
        """Decode everything once, to keep it where `data.in_memory`, and else to know before training that it can be:
        a header tells nothing of a file that ends too early.

        Raises:
          DataError: unreadable pictures (all are listed) unless `data.unreadable` is "skip", or no
            picture of a class is left; pictures of different sizes where `data.resize` is 0; maps and boxes that do
            not fit their picture or the classes.
        """
        self.subset, self.skipped = subset, ()
        self._digests: dict[int, bytes] = {}  # of pictures that are not kept, by position: what they were
        self._resize, self._interpolation = config.resize, card.interpolation
        self.in_memory, self.images = config.in_memory, None
        found = self._decode_all(skip=config.unreadable == "skip")
        images, labels = [image for image, _ in found], [label for _, label in found]
        self.shape = _one_size([image.shape for image in images], self._name) if images else ()  # (S, S, C) of each
        self.images = np.stack(images) if self.in_memory and images else None  # (N, S, S, C)
        self._labels = labels if self.in_memory else []  # as they were loaded, where they were
        self.most = max((label.shape[0] for label in labels if label is not None), default=0)  # boxes of an example

    def __len__(self) -> int:
        return len(self.subset)

    def take(self, positions: np.ndarray) -> Batch:
        """{"image": (B, S, S, C) uint8, "label": (B, ...)}: see `Info.labels`; maps (B, S, S), boxes (B, rows, 5)."""
        if self.images is not None:
            images, labels = self.images[positions], [self._labels[i] for i in positions]
        else:
            found = [self._read(int(i)) for i in positions]
            images, labels = np.stack([image for image, _ in found]), [label for _, label in found]
        if self.subset.labels is not None:
            return {"image": images, "label": self.subset.labels[positions]}
        if self.subset.info.labels == "boxes":
            labels = [pictures.filled_boxes(label, self.rows) for label in labels]
        return {"image": images, "label": np.stack(labels)}

    def fingerprint(self) -> str:
        """sha256 of the labels and of the pictures, or of their checksums where they are not in memory."""
        digest = hashlib.sha256()
        for label in self._labels if self.subset.labels is None else [self.subset.labels]:
            digest.update(np.ascontiguousarray(label).data)
        if self.images is None:
            digest.update(b"".join(self._digests[position] for position in sorted(self._digests)))
        else:
            digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()

    def _read(self, position: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A picture, and its label where that is loaded with it, both of the stored size."""
        info, label = self.subset.info, None
        try:
            example = self.subset[position]
            image = example["image"]
            if self.subset.labels is None:
                label = pictures.checked_label(example["label"], image.shape[:2], info)
        except ValueError as error:
            raise DataError(f"Every picture must be readable; {self._name(position)} is not: {error}.") from error
        if not self._resize:
            return image, label
        if label is not None:
            label = pictures.fit_label(label, self._resize, image.shape[:2], info.labels)
        return pictures.fit(image, self._resize, interpolation=self._interpolation), label

    def _decode_all(self, *, skip: bool) -> list[Any]:
        """(picture, label) of the readable ones, unless in memory their shapes; the others leave the subset."""

        def attempt(position: int) -> tuple[Any, str]:
            try:
                found = self._read(position)
            except DataError as error:
                return None, f"{self._name(position)}: {error.__cause__}"
            if self.in_memory:
                return found, ""
            digest = hashlib.blake2b(digest_size=16)  # of the picture, and of a label that is loaded with it
            for array in jax.tree.leaves(found):
                digest.update(np.ascontiguousarray(array).data)
            self._digests[position] = digest.digest()
            return jax.tree.map(lambda x: _shape(x.shape, x.dtype), found), ""

        results = []
        with ThreadPoolExecutor(pictures.THREADS) as pool:
            for begin in range(0, len(self.subset), CHUNK):
                results += pool.map(attempt, range(begin, min(begin + CHUNK, len(self.subset))))
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
        return [found for found, why in results if not why]

    def _name(self, position: int) -> str:
        """What people call an example: its file, where it has one."""
        index, files = self.subset.indices[position], getattr(self.subset.split, "files", None)
        return str(files[index]) if files else f"example {index}"


@functools.cache
def _shape(shape: tuple[int, ...], dtype: np.dtype) -> jax.ShapeDtypeStruct:
    """One object for all pictures of a shape: a set that is not in memory may have millions."""
    return jax.ShapeDtypeStruct(shape, dtype)


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


def _one_size(shapes: list[tuple[int, ...]], name: Callable[[int], str]) -> tuple[int, ...]:
    other = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        raise DataError(
            f"Pictures must be of one size when config.data.resize is 0; got {shapes[0]} ({name(0)}) and "
            f"{shapes[other]} ({name(other)}). Set config.data.resize to the pixels of the shorter side."
        )
    return shapes[0]
