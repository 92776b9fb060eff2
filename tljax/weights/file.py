"""Weights from a local .safetensors or .npz file, or from the `model/` folder of a finished run."""

import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from tljax.errors import WeightsError
from tljax.types import Card, Published

SUFFIXES = (".safetensors", ".npz")


def read(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
    """Read all arrays of `spec`, a file or a folder that holds `model.safetensors`.

    The card is `<file>.card.json` or, in a folder, `card.json`; else the one given.

    Raises:
      WeightsError: the file is absent, damaged, not what its name says, or has no card.
    """
    del lock  # a local file is what it is
    path = locate(spec)
    arrays = _read_npz(path) if path.suffix == ".npz" else _read_safetensors(path)
    return Published(arrays, read_card(spec, card=card), str(path))


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
    beside = [path.with_suffix(".card.json"), *([path.parent / "card.json"] if Path(spec).is_dir() else [])]
    for file in beside:
        if file.is_file():
            try:
                return Card(**json.loads(file.read_text()))
            except (ValueError, TypeError) as error:
                raise WeightsError(f"The card '{file}' must be JSON with the fields of types.Card: {error}") from error
    if card is None:
        raise WeightsError(
            f"Nothing says how pixels must be scaled for '{path}'. Set config.model.card.mean and "
            f"config.model.card.std (and .scale, .channel_order), or put a card at '{beside[0]}'."
        )
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


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    _check_is_weights(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError) as error:
        raise WeightsError(f"'{path}' must be a whole npz file of plain arrays: {error}. Fetch it again.") from error
    except Exception as error:  # zipfile.BadZipFile, zlib.error: what a damaged archive raises
        raise WeightsError(f"'{path}' is a damaged npz archive: {error}. Fetch it again.") from error


def _check_is_weights(path: Path) -> None:
    """Name what a file with a lying suffix really is; nothing in it is executed."""
    with path.open("rb") as file:
        head = file.read(64)
    looks = {
        b"": "an empty file",
        b"version https://git-lfs": "a git-LFS pointer, not the file itself: run `git lfs pull`",
        b"\x80\x02": "a pickle, which is refused because it can run code",
        b"\x80\x04": "a pickle, which is refused because it can run code",
        b"<": "an HTML or XML page, not weights: the download got an error page",
    }
    if path.suffix == ".safetensors":
        looks[b"PK"] = "a zip archive (a torch .pth or an .npz), not safetensors"
    for start, what in looks.items():
        # 8 bytes of header length come first in safetensors, so a short "<" alone proves nothing.
        genuine = len(head) > 8 and head[8:9] == b"{"
        if (head.startswith(start) if start else not head) and not genuine:
            raise WeightsError(f"'{path}' must hold weights, but is {what}.")
