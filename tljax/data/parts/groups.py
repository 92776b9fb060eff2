"""Groups of examples (a patient, a site, a video): all examples of a group are in the same part."""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError, DataError
from tljax.core.types import HasFiles, HasGroups, Split
from tljax.data import labels


def known(split: Split) -> Sequence[str]:
    """To whom each example belongs, where the split knows it; else empty."""
    return split.groups if isinstance(split, HasGroups) else ()


def files_of(split: Split) -> Sequence[str | Path]:
    """What people call each example, where the split knows it; else empty."""
    return split.files if isinstance(split, HasFiles) else ()


def of(split: Split, source: str, config: ConfigDict) -> np.ndarray | None:
    """(N,) str: the group of each example; None if `data.group` is empty.

    For a table, `data.group` names a column. For files, it is a regular expression with one group in brackets; the
    text that this group matches in the path below `data.dir` is the example's group.

    Raises:
      ConfigError: the examples are neither rows nor files, or `data.group` is not an expression with one group.
      DataError: the expression does not match some files; the first are named.
    """
    if not config.group or not len(split):
        return np.array([], str) if config.group else None
    if own := known(split):
        return np.array(own)
    files = files_of(split)
    if not files:
        raise ConfigError(
            f"config.data.group needs rows of a table, or files; examples of {source} are neither. Leave it empty."
        )
    try:
        pattern = re.compile(config.group)
    except re.error as error:
        raise ConfigError(
            f"config.data.group must be a regular expression; {config.group!r} is not: {error}."
        ) from error
    if pattern.groups != 1:
        raise ConfigError(
            f"config.data.group must have one group in round brackets, which matches the group of a file, as in "
            f"'/(p[0-9]+)_'; {config.group!r} has {pattern.groups}."
        )
    root = os.path.expanduser(config.dir)
    paths = [f"/{os.path.relpath(file, root)}".replace(os.sep, "/") for file in files]
    matches = [pattern.search(path) for path in paths]
    if bad := [path for path, match in zip(paths, matches, strict=True) if not match or not match[1]]:
        raise DataError(
            f"config.data.group must match the path of every file below '{root}'; {config.group!r} does not match "
            f"{len(bad)} of {len(paths)}: {labels.cut(bad)}."
        )
    return np.array([match[1] for match in matches if match])


def tell(parts: Mapping[str, np.ndarray | None], key: str) -> str:
    """A line for the user: the number of groups in every part.

    Raises:
      DataError: a group is in two parts, because the source's splits divide it.
    """
    owners = {name: set(map(str, groups)) for name, groups in parts.items() if groups is not None}
    pairs = {f"{one} and {other}": owners[one] & owners[other] for one, other in itertools.combinations(owners, 2)}
    both = [f"{where}: {labels.cut(sorted(shared))}" for where, shared in pairs.items() if shared]
    if both:
        raise DataError(
            f"Examples of one group (config.data.group={key!r}) must be in one part; some are in {'; '.join(both)}. "
            f"Move these examples, or let config.data.fractions divide all of them again."
        )
    return f"groups by {key!r}, each in one part: " + ", ".join(f"{len(some)} {name}" for name, some in owners.items())
