"""The named arrays of one file of weights, in any known format; nothing in the file is executed."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.core import plugins
from tljax.core.errors import WeightsError

# The first bytes of files that have a suffix of weights by mistake. Before a text, a byte order mark and spaces may
# stand.
LOOKS = (
    (rb"\Z", "an empty file"),
    (rb"version https://git-lfs", "a git-LFS pointer, not the file itself: run `git lfs pull`"),
    (rb"\x80[\x02-\x05]", "a pickle, which is refused because it can run code"),
    (rb"\s*<[!?a-zA-Z]", "an HTML or XML page, not weights: the download got an error page"),
    (rb"\s*[{\[]", "JSON text, not weights: the download got an error message or an index"),
    (rb"PK\x03\x04", "a zip archive (a torch .pth or an .npz), not safetensors"),
    (rb"\x93NUMPY", "a single .npy array, not an .npz of named ones"),
)
# Suffixes of weights that tljax cannot read: "folder/net.h5" is a file, not a hub repository.
UNREADABLE = (".pkl", ".ckpt", ".h5", ".keras", ".msgpack", ".onnx", ".npy")


def suffixes() -> dict[str, str]:
    """Suffix -> the file of `tljax/weights/formats/` that reads it."""
    formats = plugins.available("formats")
    return {suffix: name for name in formats for suffix in plugins.find("formats", name).SUFFIXES}


def is_file_name(spec: str) -> bool:
    """Whether `spec` ends in a suffix of weights, of a known format or not."""
    return spec.lower().endswith((*suffixes(), *UNREADABLE))


def read(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of `path` by name; each is read at its first use.

    Raises:
      WeightsError: no format has the suffix; the file is damaged, or has another format than its suffix says.
    """
    known = suffixes()
    if path.suffix not in known:
        raise WeightsError(f"Weights files must end in {', '.join(sorted(known))}; got '{path}'.")
    _check(path, known)
    arrays = plugins.find("formats", known[path.suffix]).read(path)
    if not arrays:
        raise WeightsError(f"'{path}' must hold tensors; there is none in it. Choose another file.")
    return arrays


def _check(path: Path, known: Mapping[str, str]) -> None:
    """Raise an error that names the real format of a file with a wrong suffix."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise WeightsError(f"The weights '{path}' cannot be read: {error}.") from error
    if plugins.find("formats", known[path.suffix]).recognizes(head):
        return
    looks = [kind for start, kind in LOOKS if re.match(start, head.removeprefix(b"\xef\xbb\xbf"))]
    others = [suffix for suffix, name in known.items() if plugins.find("formats", name).recognizes(head)]
    looks += [f"{known[suffix]}: rename it to end in {suffix}" for suffix in others]
    if looks:
        raise WeightsError(f"'{path}' must hold weights as {path.suffix}, but is {looks[0]}.")
