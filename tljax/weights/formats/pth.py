"""torch's checkpoints, .pth, read by torch with weights_only=True: `pip install 'tljax[torch]'`."""

import re
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Record

SUFFIXES = (".pth", ".pt", ".bin")
# In older versions a crafted file can run code in spite of weights_only: CVE-2025-32434 (fixed in 2.6), CVE-2026-24747
# (fixed in 2.10).
OLDEST = (2, 10)


def recognizes(head: bytes) -> bool:
    """Whether a file begins as a zip archive (since torch 1.6) or a bare pickle (before)."""
    return re.match(rb"PK\x03\x04|\x80[\x02-\x05]", head) is not None


def read(path: Path) -> Arrays:
    """Every tensor of the checkpoint, or of the one table of tensors in it ("model", "state_dict").

    With several tables ("student", "teacher"), a tensor's name begins with the name of its table.

    Raises:
      WeightsError: torch is not installed or too old; the file is damaged or holds more than weights.
    """
    torch = _torch(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # pickle.UnpicklingError, RuntimeError, EOFError
        raise WeightsError(
            f"'{path}' must be a whole torch checkpoint that holds only weights (torch.load, weights_only=True), but "
            f"reading it failed: {_reason(error)}\nIt is not read in any other way: save it as safetensors."
        ) from error
    tensors = _tensors(torch, content)
    if not tensors:
        inner = {key: rows for key, value in _items(content) if (rows := _tensors(torch, value))}
        if not inner:
            keys = ", ".join(str(key) for key, _ in _items(content)) or type(content).__name__
            raise WeightsError(
                f"'{path}' must hold a table of tensors, or such tables under names; it holds: {keys}. Save the "
                f"table that you need as a file of its own."
            )
        before = {key: f"{key}." if len(inner) > 1 else "" for key in inner}
        tensors = {f"{before[key]}{name}": tensor for key, rows in inner.items() for name, tensor in rows.items()}
    return Arrays({name: partial(_array, torch, tensor) for name, tensor in tensors.items()})


def _torch(path: Path) -> Any:
    try:
        import torch  # pyright: ignore[reportMissingImports] -- an extra, absent from the checked environment
    except ImportError as error:
        raise WeightsError(
            f"'{path}' is a torch checkpoint, and only torch can read it: pip install 'tljax[torch]',\n"
            f"or save it as safetensors where torch is: safetensors.torch.save_file(state_dict, 'model.safetensors')."
        ) from error
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < OLDEST:
        raise WeightsError(
            f"torch must be {'.'.join(map(str, OLDEST))} or later to read '{path}': in {torch.__version__} a crafted "
            f"checkpoint can run code in spite of weights_only (CVE-2026-24747). pip install 'tljax[torch]'"
        )
    return torch


def _reason(error: Exception) -> str:
    """The reason in torch's error, without torch's advice to read the file in a way that runs its code."""
    match = re.search(r"WeightsUnpickler error: (.+)", str(error))
    return match[1] if match else next(iter(str(error).splitlines()), type(error).__name__)


def _items(content: Any) -> list[tuple[Any, Any]]:
    return list(content.items()) if isinstance(content, Mapping) else []


def _tensors(torch: ModuleType, content: Any) -> Record:
    """`content` if it is a table of tensors only, else {}."""
    items = _items(content)
    return {str(key): x for key, x in items} if all(isinstance(x, torch.Tensor) for _, x in items) else {}


def _array(torch: ModuleType, tensor: Any) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # torch cannot convert this type to numpy
        return tensor.detach().view(torch.int16).numpy().view(jnp.bfloat16)
    return tensor.detach().numpy()
