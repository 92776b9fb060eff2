"""Copies of pictures: exact copies by their pixels, near-copies by a perceptual hash."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from tljax.core.errors import DataError

FILE = "copies.txt"
LEAST = 32  # pixels on a side; in smaller pictures a hash of 8 x 8 differences does not distinguish pictures
ALIKE = 0.98  # near-copies have similar hashes and at least this correlation of their 16 x 16 grey levels
COLOUR = 48  # near-copies differ in their mean colours by at most this many levels of 255
NEIGHBOURS = 256  # a picture is compared with at most this many pictures that share a piece of the hash
MOST = 200_000  # near-copies are not searched among more pictures
CHUNK = 16_384  # pairs that are correlated at a time
PRINT = np.dtype([("pixels", "<u8"), ("hash", "<u8"), ("grey", "u1", 256), ("colour", "u1", 3)])


def of(image: np.ndarray) -> np.ndarray:
    """The hashes of a picture (S, S, C) uint8, by which copies are found: () of PRINT.

    `pixels` is 64 bits of a checksum of the pixels. `hash` is dHash (Krawetz 2013, "Kind of Like That"): the picture is
    shrunk to 9 x 8 grey levels, and a bit says whether a level is darker than its right neighbour. `grey` is the
    picture shrunk to 16 x 16 grey levels. Of a picture smaller than `LEAST` only `pixels` is found.
    """
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    pixels = int.from_bytes(digest.digest()[:8], "little")
    if min(image.shape[:2]) < LEAST:
        return np.array((pixels, 0, 0, 0), PRINT)
    plain = np.ascontiguousarray(image[..., :3]) if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    small = Image.fromarray(plain).resize((16, 16), Image.Resampling.BOX)
    grey = small.convert("L")
    nine = np.asarray(grey.resize((9, 8), Image.Resampling.BOX))
    return np.array(
        (
            pixels,
            np.packbits(nine[:, :-1] < nine[:, 1:]).view("<u8")[0],
            np.asarray(grey).ravel(),
            np.asarray(small).mean(axis=(0, 1)),
        ),
        PRINT,
    )


@dataclasses.dataclass(frozen=True)
class Copies:
    """The copies among the pictures of all parts; pictures are numbered through all parts."""

    part: np.ndarray  # (N,) the number of each picture's part
    position: np.ndarray  # (N,) each picture's position in its part
    exact: np.ndarray  # (N,) the number of the first picture with the same pixels
    near: np.ndarray  # (M, 2) pairs of near-copies, without exact copies
    contradicted: np.ndarray  # (N,) bool: the picture has an exact copy with another label


def find(prints: Sequence[np.ndarray], labels: Sequence[np.ndarray], bits: int) -> Copies:
    """Copies in and between parts.

    Args:
      prints: the hashes of the pictures of each part; copies in an earlier part are kept.
      labels: the labels of each part.
      bits: the most bits of 64 in which the hashes of near-copies differ; -1: near-copies are not searched.
    """
    every, label = np.concatenate(prints), np.concatenate([np.asarray(one).reshape(len(one), -1) for one in labels])
    lengths = [len(one) for one in prints]
    _, first, group = np.unique(every["pixels"], return_index=True, return_inverse=True)
    exact = first[group]
    other = (label != label[exact]).any(axis=1)
    contradicted = np.isin(exact, exact[other])
    near = _near(every, bits) if bits >= 0 and len(every) <= MOST else np.zeros((0, 2), int)
    near = near[exact[near[:, 0]] != exact[near[:, 1]]]
    part = np.repeat(np.arange(len(lengths)), lengths)
    position = np.concatenate([np.arange(length) for length in lengths])
    return Copies(part, position, exact, near, contradicted)


def _near(prints: np.ndarray, bits: int) -> np.ndarray:
    """Pairs (M, 2), the smaller number first, whose hashes differ in at most `bits` of 64 bits and that are `_alike`.

    If hashes are cut into `bits` + 1 pieces, two such hashes have at least one equal piece: only pictures that share a
    piece are compared. So memory grows with N, and time with at most N times `NEIGHBOURS`.
    """
    hashes, edges = prints["hash"], np.linspace(0, 64, bits + 2).round().astype(int)
    found = [np.zeros((0, 2), int)]
    for begin, end in itertools.pairwise(edges):
        piece = (hashes << np.uint64(64 - end)) >> np.uint64(64 - end + begin)
        order = np.lexsort((hashes, piece))
        piece, active = piece[order], np.arange(len(hashes))
        for away in range(1, NEIGHBOURS + 1):
            active = active[active + away < len(order)]
            active = active[piece[active] == piece[active + away]]
            if not len(active):
                break
            pair = np.sort(np.stack([order[active], order[active + away]], axis=1), axis=1)
            pair = pair[np.bitwise_count(hashes[pair[:, 0]] ^ hashes[pair[:, 1]]) <= bits]
            found += [some[_alike(prints[some])] for some in np.split(pair, range(CHUNK, len(pair), CHUNK))]
    return np.unique(np.concatenate(found), axis=0)


def _alike(pairs: np.ndarray) -> np.ndarray:
    """Which pairs (M, 2) of PRINT look alike: different sketches or X-rays may share a hash, so grey levels decide."""
    grey = pairs["grey"].astype(np.float32)  # (M, 2, 256)
    grey -= grey.mean(axis=-1, keepdims=True)
    a, b = grey[:, 0], grey[:, 1]
    correlation = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1) + 1e-9)
    apart = np.abs(np.diff(pairs["colour"].astype(np.int16), axis=1)).max(axis=(1, 2))
    return (correlation >= ALIKE) & (apart <= COLOUR)


def counts(copies: Copies, names: Sequence[str]) -> dict[tuple[str, str], tuple[int, int]]:
    """(part, a later part in `names`) -> (number of exact, of near copies) of pictures of the first in the second."""
    found = {}
    for a, one in enumerate(names):
        for b in range(a + 1, len(names)):
            mine, theirs = copies.part == a, copies.part == b
            exact = mine & np.isin(copies.exact, copies.exact[theirs])
            ends = np.concatenate([copies.near, copies.near[:, ::-1]])
            ends = ends[(copies.part[ends[:, 0]] == a) & (copies.part[ends[:, 1]] == b)]
            near = np.setdiff1d(ends[:, 0], np.flatnonzero(exact))
            found[one, names[b]] = int(exact.sum()), len(near)
    return found


def to_drop(copies: Copies, name: Callable[[int], str]) -> dict[int, str]:
    """Picture -> reason, for the pictures that `data.duplicates=remove` leaves out: of exact copies all but the first,
    or all if their labels contradict; and near-copies of a picture in an earlier part.
    """
    drop = {int(i): "the same picture has another label too" for i in np.flatnonzero(copies.contradicted)}
    for i in np.flatnonzero(copies.exact != np.arange(len(copies.exact))):
        drop.setdefault(int(i), f"repeats {name(int(copies.exact[i]))}")
    for i, j in copies.near.tolist():
        if copies.part[i] != copies.part[j] and i not in drop:
            drop.setdefault(j, f"looks like {name(i)}")
    return drop


def lines(copies: Copies, name: Callable[[int], str]) -> Iterator[str]:
    """A line for every copy, tab-separated."""
    for i in np.flatnonzero(copies.exact != np.arange(len(copies.exact))):
        kind = "the same pixels, another label" if copies.contradicted[i] else "the same pixels"
        yield f"{kind}\t{name(int(i))}\t{name(int(copies.exact[i]))}"
    for i, j in copies.near.tolist():
        yield f"alike\t{name(j)}\t{name(i)}"


def look(parts: Mapping[str, Any], config: ConfigDict) -> tuple[tuple[str, ...], dict[str, str]]:
    """Find copies in and between parts (`decoded_pictures.Pictures`): notes, and a file that lists all copies.

    If `data.duplicates` is "remove", copies are removed from their parts, first from the training part.

    Raises:
      DataError: `data.duplicates` is "error", and there are copies between parts, or with another label.
    """
    names = [name for name in parts if name not in ("train", "validation")]
    names += [name for name in ("validation", "train") if name in parts]
    small = min(parts["train"].shape[:2]) < LEAST
    prints, subsets = [parts[name].prints for name in names], [parts[name].subset for name in names]
    labels = [one.strata if one.labels is None else one.labels for one in subsets]  # maps and boxes are not compared
    copies = find(prints, labels, -1 if small else config.near_copies)

    def name(i: int) -> str:
        return parts[names[copies.part[i]]].name(int(copies.position[i]))

    said = list(_said(copies, names, [len(one) for one in prints]))
    if config.near_copies >= 0 and len(copies.part) > MOST:
        said.append(f"copies: more than {MOST:,} pictures; only exact copies were searched")
    listed = [f"{line}\n" for line in lines(copies, name)]
    if config.duplicates == "error" and (copies.contradicted.any() or any(map(any, counts(copies, names).values()))):
        raise DataError(
            "Pictures must be in one part only, with one label (config.data.duplicates=error):\n  "
            + "\n  ".join([*said, *map(str.strip, listed)])
            + "\nRemove them from one part, or set config.data.duplicates=remove."
        )
    if listed and config.duplicates == "remove":
        drop = to_drop(copies, name)
        for number, part in enumerate(names):
            mine = {int(copies.position[i]): why for i, why in drop.items() if copies.part[i] == number}
            if mine:
                parts[part].leave_out(mine)
        said.append(f"copies: {len(drop)} pictures are left out (config.data.duplicates=remove)")
    elif listed:
        said.append(f"copies: all in {FILE}; config.data.duplicates=remove leaves them out")
    if not said:
        looks = (
            "only equal ones were looked for"
            if small or config.near_copies < 0
            else f"and none that look alike: config.data.near_copies={config.near_copies}"
        )
        said.append(f"copies: none among {len(copies.part):,} pictures ({looks})")
    return tuple(said), {FILE: "".join(listed)} if listed else {}


def _said(copies: Copies, names: Sequence[str], lengths: Sequence[int]) -> Iterator[str]:
    """A line for every pair of parts with copies, one for copies within parts, one for contradicting labels."""
    for (one, other), (exact, near) in counts(copies, names).items():
        alike = f", {near} more look like one there" if near else ""
        if exact or near:
            yield f"copies: {exact} of {lengths[names.index(one)]} {one} pictures are also in {other}{alike}"
    again = copies.exact != np.arange(len(copies.exact))
    inside = [(name, int((again & (copies.part == i) & (copies.part[copies.exact] == i)).sum()))
              for i, name in enumerate(names)]  # fmt: skip
    if repeats := ", ".join(f"{count} in {name}" for name, count in inside if count):
        yield f"copies: pictures that are repeated within a part: {repeats}"
    if copies.contradicted.any():
        yield f"copies: {int(copies.contradicted.sum())} pictures have an exact copy with another label"
