"""torchvision, where the installed torch is one that its compiled operators were not built for.

PyPI's torchvision for Linux is built for torch with CUDA. Beside torch for CPUs alone its operators cannot be loaded,
and importing it fails on two that it describes to torch in Python, though no network of its `models` uses any.
"""

import importlib.util
from pathlib import Path

import torch

DESCRIBED = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # an operator is gone with its library


def declare() -> None:
    """Tell torch of DESCRIBED where torchvision is installed and cannot; to be called before it is imported."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or _declared:
        return
    try:
        for file in Path(found.origin).parent.glob("_C.*"):
            torch.ops.load_library(file)
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for name in DESCRIBED:
            library.define(f"{name}() -> Tensor")
        _declared.append(library)
