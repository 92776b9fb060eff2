"""Which files of a folder are examples: one rule for training and for the predictions of a finished run.

The layout for training is `<data.dir>/<split>/<class>/<file>`. With `<data.dir>/<class>/<file>`, all files form the
split "all".
"""

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import atomic
from tljax.core.errors import DataError
from tljax.data import labels
from tljax.data.parts import splits

# Files that systems and programs leave beside the user's files; names that begin with a dot are hidden too.
LEFT_BEHIND = frozenset({
    "__MACOSX", "__pycache__", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found",
    "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Splits:
    """The content of a folder of splits."""

    splits: dict[str, list[tuple[Path, str]]]  # split -> its files, each with the name of its class folder
    skipped: list[str]  # "path: reason" for files and folders that are left out
    unread: list[str]  # other splits, which the config does not name


@dataclasses.dataclass(frozen=True)
class Class:
    """The content of one class folder."""

    home: Path
    examples: list[Path]
    others: list[Path]  # files and folders that are not examples, without hidden ones


Table = dict[str, Class]  # name of the folder -> its content


def hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, or one that a system or program left."""
    return path.name.startswith(".") or path.name in LEFT_BEHIND


def entries(folder: Path) -> list[Path]:
    """The content of a folder, sorted, without hidden entries; DataError if it cannot be read."""
    return [path for path in everything(folder) if not hidden(path)]


def everything(folder: Path) -> list[Path]:
    """The content of a folder, sorted; DataError if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"'{folder}' must be a folder that can be read: {error.strerror}.") from error


def is_example(path: Path, suffixes: Collection[str]) -> bool:
    """Whether `path` is a file, or a link to one, with a suffix of examples."""
    return not hidden(path) and path.suffix.lower() in suffixes and path.is_file()


def inside(folder: Path, suffixes: Collection[str], *, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """The examples at any depth, sorted in each folder; links are followed, except to a folder above."""
    above |= {os.path.realpath(folder)}
    for path in entries(folder):
        if path.is_dir():
            if os.path.realpath(path) not in above:
                yield from inside(path, suffixes, above=above)
        elif is_example(path, suffixes):
            yield path


def read(root: Path, suffixes: Collection[str], config: ConfigDict, *, what: str, layout: str) -> Splits:
    """The files of the splits that the config names; all other files are left out, and listed.

    Args:
      suffixes: the suffixes of examples.
      what: the kind of files for the user: "pictures".
      layout: the folders that they must lie in, for the user.

    Raises:
      DataError: there is no such folder, it cannot be read or holds no such files, a class folder is empty in a split
        that the config names, or names are not UTF-8.
    """
    if not config.dir or not root.is_dir():
        where = f"'{root if config.dir else ''}'"
        raise DataError(f"{what.capitalize()}: no folder {where}. Set config.data.dir; the layout is {layout}.")
    places = [path for path in entries(root) if path.is_dir()]
    nested = {place.name: _table(entries(place), suffixes) for place in places}
    explicit = {*config.targets, *config.unlabelled, *(config.divide if config.fractions else config.splits.values())}
    tables = {name: table for name, table in nested.items() if _any(table) or (name in explicit and table)}
    level = any(map(_any, tables.values()))  # whether the folder holds splits
    if not level:
        flat = {name: one for name, one in _table(places, suffixes).items() if one.examples}
        tables = {"all": flat} if flat else {}
    if not tables:
        loose = sum(is_example(path, suffixes) for path in entries(root))
        at_once = f"; {loose:,} {what} lie in it at once, and nothing says their classes" if loose else ""
        raise DataError(
            f"'{root}' must hold class folders of {what} ({', '.join(sorted(suffixes))}), or splits with class "
            f"folders, but has none{at_once}. The layout is {layout.replace('<data.dir>', str(root))}; without splits "
            f"{root}/<class>/<file>."
        )
    used, known = splits.used(list(tables), config), tables if level else tables["all"]
    _refuse_empty(root, {name: tables[name] for name in used}, what)
    skipped = [f"{path}: hidden, or left by a program" for path in _hidden(root) if path.is_dir()]
    skipped += [f"{place}: a folder without {what}" for place in places if place.name not in known]
    for name in used:
        skipped += _left_out(root / name if level else None, tables[name], suffixes, what)
    files = {name: [(file, of) for of, one in sorted(tables[name].items()) for file in one.examples] for name in used}
    return Splits(files, skipped, [name for name in tables if name not in used])


def _table(places: Iterable[Path], suffixes: Collection[str]) -> Table:
    table = {}
    for place in places:
        if place.is_dir():
            every = [(path, is_example(path, suffixes)) for path in entries(place)]
            table[place.name] = Class(place, [p for p, fits in every if fits], [p for p, fits in every if not fits])
    return table


def _any(table: Table) -> bool:
    return any(one.examples for one in table.values())


def _hidden(folder: Path) -> list[Path]:
    return [path for path in everything(folder) if hidden(path)]


def _left_out(split: Path | None, table: Table, suffixes: Collection[str], what: str) -> list[str]:
    """ "path: reason" for everything in a split that is not an example (None: no splits); all names are checked."""
    loose = [path for path in entries(split) if not path.is_dir()] if split else []
    atomic.check_names([*loose, *(path for one in table.values() for path in (one.home, *one.examples, *one.others))])
    lines = [f"{path}: not in a class folder" for path in loose]
    for one in table.values():
        lines += [f"{path}: {_why_none(path, suffixes, what)}" for path in one.others]
        if unseen := [path.name for path in _hidden(one.home) if path.suffix.lower() in suffixes]:
            lines.append(f"{one.home}: {len(unseen)} hidden files ({labels.cut(unseen)})")
    return lines


def _why_none(path: Path, suffixes: Collection[str], what: str) -> str:
    """Why a file or folder in a class folder is not an example."""
    if path.is_dir():
        number = sum(1 for _ in inside(path, suffixes))
        return f"a folder, which is not read ({number} {what} in it): {what} must lie directly in a class folder"
    if path.is_symlink() and not path.exists():
        return f"a broken link ({path.readlink()})"
    return f"its suffix is not that of {what}"


def _refuse_empty(root: Path, tables: dict[str, Table], what: str) -> None:
    empty = [f"{split}/{name}" for split, table in tables.items() for name, one in table.items() if not one.examples]
    if empty:
        raise DataError(
            f"Every class folder in '{root}' must hold {what} with a known suffix; empty: {labels.cut(empty)}. "
            f"Add {what} or remove the folders."
        )
