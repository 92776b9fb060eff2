"""Weights from a local .safetensors or .npz file, or from the `model/` folder of a finished run."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from tljax.errors import WeightsError, gather
from tljax.types import Card, Published

SUFFIXES = (".safetensors", ".npz")
# How files begin that get the suffix of weights by mistake; text may follow a byte order mark and spaces.
LOOKS = (
    (rb"\Z", "an empty file"),
    (rb"version https://git-lfs", "a git-LFS pointer, not the file itself: run `git lfs pull`"),
    (rb"\x80[\x02-\x05]", "a pickle, which is refused because it can run code"),
    (rb"\s*<[!?a-zA-Z]", "an HTML or XML page, not weights: the download got an error page"),
    (rb"\s*[{\[]", "JSON text, not weights: the download got an error message or an index"),
    (rb"PK\x03\x04", "a zip archive (a torch .pth or an .npz), not safetensors"),
    (rb"\x93NUMPY", "a single .npy array, not an .npz of named ones"),
)
LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


def read(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
    """Read all arrays of `spec`, a file or a folder that holds `model.safetensors`.

    The card is `<name>.card.json` beside `<name>.safetensors` or, in a folder, `card.json`; else the one given.

    Raises:
      WeightsError: the file is absent, damaged, not what its name says, or has no card.
    """
    del lock  # a local file is what it is
    path = locate(spec)
    read_arrays = _read_npz if path.suffix == ".npz" else _read_safetensors
    arrays, found = gather(lambda: read_arrays(path), lambda: read_card(spec, card=card))
    return Published(arrays, found, str(path))


def locate(spec: str) -> Path:
    """The file that `spec` means.

    Raises:
      WeightsError: there is none, or its suffix is not one of SUFFIXES.
    """
    path = Path(spec).expanduser()
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise WeightsError(
            f"Pretrained weights: no file '{path}'. Give a file that ends in {' or '.join(SUFFIXES)},\n"
            f"  a run's model/ folder or a hub repository: --config.model.weights=<file or owner/name>"
        )
    if path.suffix not in SUFFIXES:
        raise WeightsError(
            f"Weights files must end in {' or '.join(SUFFIXES)}; got '{path}'. A pickle (.pth, .bin) can run "
            f"code when it is read: convert it with safetensors.torch.save_file first."
        )
    return path


def read_card(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Card:
    """The card beside the file, else the one given; an error if there is neither."""
    del lock
    path = locate(spec)
    beside = [
        path.with_suffix(".card.json"),
        *([path.parent / "card.json"] if Path(spec).expanduser().is_dir() else []),
    ]
    for file in beside:
        if file.is_file():
            return _parse_card(file)
    if card is None:
        raise WeightsError(
            f"Nothing says how pixels must be scaled for '{path}'. Set config.model.card.mean and "
            f"config.model.card.std (and .scale, .channel_order), or put a card at '{beside[0]}'."
        )
    return card


def _parse_card(file: Path) -> Card:
    try:
        said = json.loads(file.read_text())
        fields: dict[str, Any] = {key: tuple(x) if isinstance(x, list) else x for key, x in said.items()}
        card = Card(**fields)
        numbers = [float(value) for value in (*card.mean, *card.std)]
        if len(card.mean) != len(card.std) or not np.isfinite(numbers).all() or 0 in card.std:
            raise ValueError(f"mean and std must be numbers per channel, std not 0; got {card.mean} and {card.std}")
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise WeightsError(f"The card '{file}' must be JSON with the fields of types.Card: {error}") from error
    return card


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    _check_is_weights(path)
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise WeightsError(
            f"'{path}' ({path.stat().st_size:,} bytes) must be a whole safetensors file, but reading it "
            f"failed: {error}. It is truncated or damaged: fetch it again."
        ) from error
    except (AttributeError, KeyError, TypeError) as error:  # how it says that numpy has no such type (float8)
        raise WeightsError(
            f"'{path}' must hold tensors of types that numpy knows, but reading it failed: {error}. "
            f"Save it as float32, float16 or bfloat16."
        ) from error


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    _check_is_weights(path)
    try:
        # Opened here, because numpy leaves the file of a damaged archive open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names, arrays = file.files, {}
            for name in names:
                # Arrays of objects are pickles; numpy refuses them by this error, and all are to be named.
                try:
                    arrays[name] = file[name]
                except ValueError as error:
                    arrays[name] = error
    except Exception as error:  # zipfile.BadZipFile, zlib.error, EOFError: what a damaged archive raises
        raise WeightsError(f"'{path}' is a damaged npz archive: {error}. Fetch it again.") from error
    wrong = [name for name in names if getattr(getattr(arrays[name], "dtype", None), "kind", "O") not in "biuf"]
    if wrong:
        raise WeightsError(
            f"'{path}' must hold arrays of numbers only (objects are pickles, which can run code); "
            f"these are not: {', '.join(wrong)}. Save them with numpy.savez as float arrays."
        )
    return arrays


def _check_is_weights(path: Path) -> None:
    """Name what a file with a lying suffix really is; nothing in it is executed."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise WeightsError(f"The weights '{path}' cannot be read: {error}.") from error
    npz, safe = head.startswith(b"PK"), _begins_as_safetensors(head)
    if npz if path.suffix == ".npz" else safe:
        return
    looks = [what for start, what in LOOKS if re.match(start, head.removeprefix(b"\xef\xbb\xbf"))]
    looks += ["safetensors: rename it to end in .safetensors"] if safe else []
    if looks:
        raise WeightsError(f"'{path}' must hold weights as {path.suffix}, but is {looks[0]}.")


def _begins_as_safetensors(head: bytes) -> bool:
    """8 bytes that count the header, little end first, and the header: a JSON object."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LARGEST_HEADER
