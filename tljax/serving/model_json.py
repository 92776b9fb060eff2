"""The file model.json of a finished run. Type and range of every field are checked, because folders are passed on."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tljax.core import untrusted
from tljax.core.errors import DataError
from tljax.core.untrusted import Json, Record
from tljax.reporting import temperatures

FILE = "model.json"
DTYPES = ("float32", "bfloat16")
SIDES = (0, 2**13)  # pixels on a side
RANGES = {
    "resize": (1, SIDES[1]),
    "size": (1, SIDES[1]),
    "crop": SIDES,
    "channels": (1, 64),
    "shape": (1, SIDES[1]),
    "tiles": (1, 64),
    "lengths": (1, 2**16),
}


@dataclasses.dataclass(frozen=True)
class Fields:
    """The fields of model.json without the classes, of which there may be many."""

    family: str
    variant: Any  # checked by its family
    dtype: str
    task: str
    input: Json
    started_from: str = ""
    known: Json = dataclasses.field(default_factory=dict)
    classifier: str = ""
    temperature: float = 1.0


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The sizes of inputs that are pictures."""

    resize: int
    crop: int
    size: int
    channels: int
    shape: tuple[int, ...] = ()
    tiles: int = 1


@dataclasses.dataclass(frozen=True)
class Texts:
    """The sizes of inputs that are texts."""

    lengths: tuple[int, ...]
    pairs: bool
    vocabulary: str = ""


def read(folder: Path) -> Record:
    """The content of model.json in `folder`.

    Raises:
      DataError: there is none, or no run can have written it.
    """
    try:
        said = untrusted.parse((folder / FILE).read_text(encoding="utf-8"))
        if not isinstance(said, dict):
            raise ValueError(f"it holds {untrusted.shown(said)}")
        if wrong := _faults(said):
            raise ValueError("; ".join(wrong))
    except (OSError, ValueError) as error:
        raise refused(folder, str(error)) from error
    return said


def refused(folder: Path, why: str) -> DataError:
    """The error for a model.json that cannot be used."""
    return DataError(
        f"A finished run must hold model/model.json; '{folder}' has none that can be used: {why}. "
        f"Give the folder of a run that ended with a line 'result: ...'."
    )


def _faults(said: Json) -> list[str]:
    """The faults of a model.json; unknown keys are allowed."""
    needed = [field.name for field in dataclasses.fields(Fields) if field.name in said or _is_needed(field)]
    if missing := [key for key in (*needed, "classes") if key not in said]:
        return [f"it lacks {', '.join(missing)}"]
    wrong = untrusted.faults(Fields, {key: said[key] for key in needed}, {"temperature": temperatures.BOUNDS})
    if said["dtype"] not in DTYPES:
        wrong.append(f"dtype must be one of {', '.join(DTYPES)}; got {untrusted.shown(said['dtype'])}")
    classes = said["classes"]
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        wrong.append(f"classes must be a list of names; got {untrusted.shown(classes)}")
    if isinstance(said["input"], Mapping):
        kind = Texts if "lengths" in said["input"] else Pictures
        known = {
            field.name: said["input"][field.name] for field in dataclasses.fields(kind) if field.name in said["input"]
        }
        wrong += [f"input: {fault}" for fault in untrusted.faults(kind, known, RANGES)]
    return wrong


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING
