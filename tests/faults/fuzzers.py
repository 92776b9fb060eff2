"""Readers of what others wrote, given mutated files: each answers, or says by a declared error what is wrong."""

import functools
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from PIL import Image

from configs import default
from tests import mutations
from tests.faults.making import ROWS, arrays
from tljax.core import caches
from tljax.core.errors import TljaxError
from tljax.core.feature_store import Store
from tljax.data import pictures, tables, tokens
from tljax.weights import cards, local_weights, lock_file, tensors

SECONDS = 10.0  # that a file may take
MARKS = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\0",
    b'"',
    b"{",
    b"[",
    b"-1",
    b"1e999",
    b"NaN",
)


class Reader(NamedTuple):
    """What is read, from whole files that are then mutated."""

    seeds: list[tuple[str, bytes]]  # (file's name, content)
    read: Callable[[Path], Any]
    declared: tuple[type[Exception], ...] = (TljaxError,)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """A few changes as disks, transfers and people make them."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place, kind = draw.randrange(len(found) + 1), draw.randrange(7)
        end = min(len(found), place + draw.choice((1, 2, 4, 64)))
        if kind == 0 and place < len(found):
            found[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            found[place:end] = draw.choice(MARKS)
        elif kind == 2:
            del found[place:end]
        elif kind == 3:
            found[place:place] = draw.choice(MARKS)
        elif kind == 4:
            del found[place:]
        elif kind == 5:
            found[place:place] = found[place:end]
        elif place < len(found):
            found[place] = draw.randrange(256)
    return bytes(found)


def field_changed(content: bytes, draw: random.Random) -> bytes:
    """A JSON object with one value in the place of another, as a stranger's program may write it."""
    said = json.loads(content)
    *inside, key = draw.choice(list(mutations.paths(said)))
    node = functools.reduce(lambda node, step: node[step], inside, said)
    node[key] = draw.choice(mutations.VALUES[1:])
    return json.dumps(said).encode()


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def picture_files() -> list[tuple[str, bytes]]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    colour, deep = Image.fromarray(pixels), Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = colour.getexif()
    exif[274] = 6
    made = [("jpg", "JPEG", colour, {"exif": exif}), ("jpg", "JPEG", colour.convert("CMYK"), {}),
            ("jpg", "JPEG", colour.convert("L"), {"progressive": True}), ("png", "PNG", colour.convert("P"), {}),
            ("png", "PNG", deep, {}), ("png", "PNG", colour.convert("LA"), {}), ("tif", "TIFF", deep, {}),
            ("tif", "TIFF", colour, {"compression": "tiff_lzw"}), ("bmp", "BMP", colour, {}),
            ("webp", "WEBP", colour, {}), ("ppm", "PPM", colour, {})]  # fmt: skip
    return [(f"{i}.{suffix}", saved(image, kind, **more)) for i, (suffix, kind, image, more) in enumerate(made)]


def npz(**found: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **found)
    return buffer.getvalue()


def readers(root: Path) -> dict[str, Reader]:
    config = default.get_config().data
    config.update(source="text_csv")
    card = json.dumps(
        {"mean": [0.5], "std": [0.5], "size": 224, "crop": 0.875, "file": "n", "sha256": "0" * 64}
    ).encode()
    rows = "".join(json.dumps({"text": f"t{i}", "label": "a"}) + "\n" for i in range(5)).encode()
    few = {name: x for name, x in arrays("small").items() if name.startswith("fc.")}
    lock = {"a/b": {"file": "m.safetensors", "revision": "0" * 40, "sha256": "1" * 64}}
    store = root / "store"
    Store(store, lambda _: None).add(["a", "b"], np.ones((2, 3), np.float32))
    shard = {path.name: path.read_bytes() for path in store.iterdir()}
    name = next(name for name in shard if name.endswith(".json"))
    kept = npz(ids=np.arange(5, dtype=np.int32), types=np.zeros(5, np.int32), lengths=np.array([5]), cut=np.array(0))

    def shard_of(file: Path) -> None:
        index = file.parent / "shard" / name
        index.parent.mkdir(exist_ok=True)
        index.write_bytes(file.read_bytes())
        index.with_suffix(".bin").write_bytes(shard[name.replace(".json", ".bin")])
        Store(index.parent, lambda _: None).read()

    def tokens_of(file: Path) -> None:
        place = caches.folder("tokens") / f"{'a' * 64}.npz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
        tokens._read("a" * 64)

    return {
        "pictures": Reader(picture_files(), pictures.read, (ValueError,)),
        "tables": Reader(
            [("a.csv", ROWS.encode()), ("a.tsv", ROWS.replace(",", "\t").encode()), ("a.jsonl", rows)],
            lambda file: tables.read(file, config, ["text", "label"]),
        ),
        "weights": Reader(
            [("a.safetensors", safetensors.numpy.save(few)), ("a.npz", npz(**few))],
            lambda file: [np.asarray(x) for x in tensors.read(file).values()],  # an array is read at its first use
        ),
        "cards": Reader([("a.card.json", card)], cards.read),
        "configs of networks": Reader(
            [("a.json", json.dumps({"hidden_size": 16, "num_attention_heads": 2, "vocab_size": 8}).encode())],
            lambda file: local_weights.config(file.with_suffix(".safetensors"), file.with_suffix(".safetensors")),
        ),
        "lock files": Reader([("a.json", json.dumps(lock).encode())], lambda file: lock_file.read(file, beside=())),
        "cached features": Reader([(name, shard[name])], shard_of),
        "cached tokens": Reader([("a.npz", kept)], tokens_of),
    }


def fuzz(reader: Reader, folder: Path, number: int, seed: int) -> Iterator[str]:
    """What a reader must not do with a mutated file, of so many: another error, or more than SECONDS."""
    draw = random.Random(seed)
    for i in range(number):
        name, content = reader.seeds[i % len(reader.seeds)]
        file = folder / name
        change = field_changed if name.endswith(".json") and i % 2 else mutated
        file.write_bytes(found := change(content, draw))
        began = time.monotonic()
        try:
            reader.read(file)
        except reader.declared as error:
            if not str(error).strip():
                yield f"{name} {i}: an error without words"
        except Exception as error:
            yield f"{name} {i}: {type(error).__name__}: {str(error)[:200]} of {found[:60]!r}"
        if (took := time.monotonic() - began) > SECONDS:
            yield f"{name} {i}: {took:.0f} s"
