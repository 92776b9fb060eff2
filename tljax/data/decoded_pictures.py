"""The pictures of one part: decoded once into memory, or again for every batch; unreadable ones are listed."""

import base64
import functools
import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.processes import agreement
from tljax.core.processes.agreement import Share
from tljax.core.types import Batch, Card, Rows
from tljax.data import pictures, preprocess
from tljax.data.boxes.placing import InPictures
from tljax.data.parts.subsets import Subset
from tljax.data.picture import duplicates, grey_levels

Value = TypeVar("Value")
CHUNK = 1024  # the most pictures in the queue of the decoding threads
PIECE = 8  # pictures that a thread takes at a time: of tiny ones, taking takes longer than decoding


class Pictures:
    """The pictures of one part as uint8 (S, S, C), in memory or decoded again for every batch; and their labels."""

    views = 1
    rows = 0  # the length to which every example's list of boxes is padded

    def __init__(self, subset: Subset, config: ConfigDict, card: Card) -> None:
        """Decode every picture once. With `data.in_memory` the pictures are kept. Without it, this is a check before
        training: the header of a truncated file looks valid.

        If `data.window` does not give black and white, 16-bit pictures wait for `settle`; `spans` holds the lowest and
        highest value of each, by position.

        Raises:
          DataError: pictures are unreadable (all are listed), unless `data.unreadable` is "skip"; or no picture of a
            class is left; pictures have different sizes and are not resized; maps and boxes do not fit their picture
            or the classes.
        """
        self.subset, self.skipped, self.in_memory = subset, (), config.in_memory
        sizes, self._interpolation = preprocess.sizes(config, card), card.interpolation
        self._resize, self._shape = sizes.resize, sizes.shape
        self._channels, self._window = config.channels, config.window
        self.levels = grey_levels.Levels(*config.window, given=True) if config.window else None
        self.images: np.ndarray | None = None  # (N, S, S, C)
        self.prints = np.zeros(len(subset), duplicates.PRINT)  # hashes, to find copies
        self.most = 0  # the largest number of boxes of an example
        self._labels: dict[int, np.ndarray] = {}  # maps and boxes of pictures in memory, by position
        self._digests: dict[int, bytes] = {}  # of all maps and boxes, by position
        # Boxes in the pixels of their pictures, by the place in the split.
        self._in_pictures = InPictures(sizes._asdict()) if subset.info.labels == "boxes" else None
        self.spans: dict[int, tuple[float, float]] = {}
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._lock = threading.Lock()
        self._decode_all(skip=config.unreadable == "skip")

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, S, C) of every picture.

        Raises:
          DataError: they differ.
        """
        return _one_size(self._shapes, self.name)

    def __len__(self) -> int:
        return len(self.subset)

    @property
    def known(self) -> Rows:
        """What evaluation judges answers by besides a batch, (N, ...): of boxes, see `InPictures`."""
        return self._in_pictures.rows(map(int, self.subset.indices)) if self._in_pictures else {}

    def take(self, positions: np.ndarray) -> Batch:
        """{"image": (B, S, S, C) uint8, "label": (B, ...)}: see `Info.labels`; maps (B, S, S), boxes (B, rows, 5)."""
        if self.images is not None:
            images, labels = self.images[positions], [self._labels.get(int(i)) for i in positions]
        else:
            examples = [self._read(int(i)) for i in positions]
            images, labels = np.stack([image for image, _ in examples]), [label for _, label in examples]
        if self.subset.labels is not None:
            return {"image": images, "label": self.subset.labels[positions]}
        loaded = [label for label in labels if label is not None]  # all labels, or none
        if self.subset.info.labels == "boxes":
            loaded = [pictures.filled_boxes(label, self.rows) for label in loaded]
        return {"image": images, "label": np.stack(loaded)}

    def fingerprint(self) -> str:
        """sha256 of the labels and of the pictures, or of their `prints` if the pictures are not in memory."""
        digest = hashlib.sha256()
        if self.subset.labels is None:
            digest.update(b"".join(self._digests[i] for i in range(len(self))))
        else:
            digest.update(np.ascontiguousarray(self.subset.labels).data)
        digest.update(self.prints.tobytes() if self.images is None else np.ascontiguousarray(self.images).data)
        return digest.hexdigest()

    def name(self, position: int) -> str:
        """The name of an example for the user: its file, if it has one."""
        return self.subset.name(position)

    def settle(self, levels: grey_levels.Levels | None) -> None:
        """Decode the pictures that waited for `levels`: black and white for the 16-bit pictures of all parts."""
        if not self.spans:
            return
        self.levels = self.levels or levels
        with ThreadPoolExecutor(pictures.THREADS) as pool:
            list(pool.map(lambda position: self._store(position, *self._read(position)), self.spans))
        self.spans = {}

    def leave_out(self, why: Mapping[int, str]) -> None:
        """Remove pictures from the part; they are counted and listed. `why`: position -> reason.

        Raises:
          DataError: no picture of a class is left.
        """
        remaining = np.array([i for i in range(len(self)) if i not in why], int)
        self.skipped += tuple(f"{self.name(i)}: {why[i]}" for i in sorted(why))
        if set(self.subset.take(remaining).strata) != set(self.subset.strata):
            raise DataError(
                f"Some picture of every class must be left; {len(why)} of {len(self)} are left out:\n  "
                + "\n  ".join(self.skipped)
            )
        self.subset, self.prints = self.subset.take(remaining), self.prints[remaining]
        new = {int(old): position for position, old in enumerate(remaining)}
        self.spans = {new[i]: span for i, span in self.spans.items() if i in new}
        self._shapes = {new[i]: shape for i, shape in self._shapes.items() if i in new}
        self._labels = {new[i]: label for i, label in self._labels.items() if i in new}
        self._digests = {new[i]: digest for i, digest in self._digests.items() if i in new}
        if self.images is not None:  # in place: a copy would need twice the memory
            for position, old in enumerate(remaining):
                self.images[position] = self.images[old]
            self.images = self.images[: len(remaining)]

    def _read(self, position: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A picture, and its label if that is loaded with it, both in the stored size."""
        try:
            with pictures.turn():
                return self._as_stored(*self._loaded(position))
        except ValueError as error:
            raise DataError(f"Every picture must be readable; {self.name(position)} is not: {error}.") from error

    def _loaded(self, position: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A picture and its label in the source's size; ValueError if they are unreadable or do not fit."""
        example = self.subset[position]
        image = example["image"]
        if self.subset.labels is not None:
            return image, None
        return image, pictures.checked_label(example["label"], image.shape[:2], self.subset.info)

    def _as_stored(self, image: np.ndarray, label: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        if image.dtype != np.uint8:
            image = grey_levels.eight_bits(image, self.levels, self._channels)
        if self._shape:
            if label is not None:
                label = pictures.label_into(label, self._shape, image.shape[:2], self.subset.info.labels)
            return pictures.fit_into(image, self._shape, interpolation=self._interpolation), label
        if not self._resize:
            return image, label
        if label is not None:
            label = pictures.fit_label(label, self._resize, image.shape[:2], self.subset.info.labels)
        return pictures.fit(image, self._resize, interpolation=self._interpolation), label

    def _store(self, position: int, image: np.ndarray, label: np.ndarray | None) -> None:
        self.prints[position] = duplicates.of(image)
        with self._lock:
            self._shapes[position] = _same(image.shape)
            if self.in_memory and self.images is None:
                self.images = np.empty((len(self), *image.shape), np.uint8)
            if label is not None:
                self._keep(position, label)
        if self.images is not None and self.images.shape[1:] == image.shape:  # for another shape, `shape` raises
            self.images[position] = image

    def _keep(self, position: int, label: np.ndarray) -> None:
        self.most = max(self.most, len(label))
        self._digests[position] = hashlib.blake2b(np.ascontiguousarray(label).data, digest_size=16).digest()
        if self.in_memory:
            self._labels[position] = label

    def _decode_all(self, *, skip: bool) -> None:
        """Store every picture that can be read; the others leave the part, or are an error."""

        def attempt(position: int) -> str:
            try:
                with pictures.turn():
                    image, label = self._loaded(position)
                    if self._in_pictures and label is not None:
                        self._in_pictures.add(int(self.subset.indices[position]), image.shape[:2], label)
                    if image.dtype != np.uint8 and grey_levels.known(image, self._window) is None:
                        self.spans[position] = grey_levels.span(image)
                    else:
                        self._store(position, *self._as_stored(image, label))
            except ValueError as error:
                return str(error)
            return ""

        bad: dict[int, str] = {}
        share = Share() if self.in_memory else agreement.share()
        every = range(share.index, len(self.subset), share.count)
        with ThreadPoolExecutor(pictures.THREADS) as pool:
            for begin in range(0, len(every), CHUNK):
                some = every[begin : begin + CHUNK]
                pieces = [some[i : i + PIECE] for i in range(0, len(some), PIECE)]
                for piece, answers in zip(pieces, pool.map(lambda piece: [*map(attempt, piece)], pieces), strict=True):
                    bad |= {i: why for i, why in zip(piece, answers, strict=True) if why}
        if share.count > 1:
            bad = self._put_together(bad)
        strata = self.subset.strata
        lost = set(strata) - {strata[i] for i in range(len(self)) if i not in bad}
        if bad and (not skip or lost):
            raise DataError(
                f"Every picture must be readable{', or some of every class' if skip else ''}; "
                f"{len(bad)} of {len(self)} are not:\n  "
                + "\n  ".join(f"{self.name(i)}: {why}" for i, why in bad.items())
                + "\nRepair or remove them, or set config.data.unreadable=skip to leave them out, counted and listed."
            )
        if bad:
            self.leave_out(bad)
        if self._shapes:
            _one_size(self._shapes, self.name)

    def _put_together(self, bad: Mapping[int, str]) -> dict[int, str]:
        """What every process found in the pictures that it decoded: as if this one had decoded all."""
        which = hashlib.sha256(f"{len(self)} {self.name(0)} {self.name(len(self) - 1)}".encode()).hexdigest()

        def of_all(what: str, own: Mapping[int, Value]) -> dict[int, Value]:
            shares = [dict(some) for some in agreement.gathered(list(own.items()), name=f"{which} {what}")]
            return dict(sorted(pair for some in shares for pair in some.items()))

        prints = {i: base64.b64encode(self.prints[i].tobytes()).decode() for i in self._shapes}
        for i, text in of_all("prints", prints).items():
            self.prints[i] = np.frombuffer(base64.b64decode(text), duplicates.PRINT)[0]
        digests = of_all("digests", {i: digest.hex() for i, digest in self._digests.items()})
        self._digests = {i: bytes.fromhex(text) for i, text in digests.items()}
        self._shapes = {i: _same(tuple(shape)) for i, shape in of_all("shapes", self._shapes).items()}
        self.spans = {i: (low, high) for i, (low, high) in of_all("spans", self.spans).items()}
        self.most = max(agreement.gathered(self.most, name=f"{which} most"))
        if self._in_pictures:
            self._in_pictures.put_together(of_all("boxes", self._in_pictures.told))
        return of_all("bad", bad)


@functools.cache
def _same(shape: tuple[int, ...]) -> tuple[int, ...]:
    """One tuple for all pictures of a shape, to save memory: there may be millions of pictures."""
    return shape


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


def _one_size(shapes: Mapping[int, tuple[int, ...]], name: Callable[[int], str]) -> tuple[int, ...]:
    first = min(shapes)
    other = next((i for i in sorted(shapes) if shapes[i] != shapes[first]), None)
    if other is not None:
        raise DataError(
            f"Pictures must be of one size when config.data.resize is 0; got {shapes[first]} ({name(first)}) and "
            f"{shapes[other]} ({name(other)}). Set config.data.resize to the pixels of the shorter side."
        )
    return shapes[first]
