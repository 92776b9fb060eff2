"""What lies at the places that a config names, known without reading it: how a finished run sees what has changed."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import config_tables, modules
from tljax.core.remote import store
from tljax.core.types import Json, Record
from tljax.data import folders

# Keys of a config that name files which a run reads.
PLACES = (
    "data.dir", "data.pictures", "data.masks", "data.class_file", "model.weights", "model.tokenizer",
    "strategy.teachers",
)  # fmt: skip


def files(folder: Path, config: ConfigDict) -> Record:
    """Key of `PLACES` -> the stamps of what it names, for a run in `folder`. Left out: what names no files, such as
    weights of a hub, and what is gone.
    """
    flat = config_tables.flat(config)
    named = {key: _named(flat[key]) for key in PLACES if key in flat}
    stamps = {key: [_stamp(place, folder) for place in places] for key, places in named.items()}
    return {key: rows for key, rows in stamps.items() if rows and all(rows)}


def unchanged(before: Json, folder: Path, config: ConfigDict) -> tuple[bool, list[str]]:
    """(Whether what a finished run has read is unchanged, notes about it).

    If files were added, removed or written since, the data may have changed, and the examples must be compared.

    Args:
      before: `files` when the run began.
    """
    try:
        return _compared(before, files(folder, config))
    except (KeyError, TypeError, AttributeError) as error:
        return False, [f"what inputs.json says of files is damaged ({error!r}): the examples are compared"]


def _compared(before: Json, now: Record) -> tuple[bool, list[str]]:
    before = {PLACES[0]: [before]} if "place" in before else before  # of earlier runs
    notes, same = [], True
    for key, stamps in before.items():
        if key not in now:
            notes.append(
                f"config.{key}: its files are gone: there is no '{', '.join(one['place'] for one in stamps)}'; this is "
                f"what the run found when there was"
            )
        for then, stamp in zip(stamps, now.get(key, ()), strict=False):
            if then != stamp:
                same = False
                notes.append(
                    f"finished, but the files in '{stamp['place']}' are not as they were ({then['files']:,} files of "
                    f"{then['bytes']:,} bytes then, {stamp['files']:,} of {stamp['bytes']:,} now, or written since): "
                    f"they are compared with those it learned from"
                )
    return same, notes


def code(config: ConfigDict) -> Record:
    """The user's own file -> its checksum, for files that the config names and the modules beside them."""
    values = [text for value in config_tables.flat(config).values() for text in _named(value)]
    names = {name for text in values for name in (text, text.partition(":")[0], text.rpartition(".")[0])}
    own = {file: sha256 for name, (file, sha256) in modules.loaded.items() if name in names}
    return {other: modules.checksum(other) for file in own for other in modules.beside(file)} | own


def changed_code(before: Json) -> list[str]:
    """The files of `code` that are there and have been changed."""
    known = before.items() if isinstance(before, dict) else ()
    return [file for file, sha256 in known if os.path.isfile(file) and modules.checksum(file) != sha256]


def stamp(place: Path, *, without: Path | None = None) -> Record | None:
    """Facts about a file or a folder, known without reading its files: their number, their size, and a checksum of
    their names, sizes, times of writing and times of change; None if there are no files.

    Programs set the time of writing as they like (cp -p, tar, rsync -a); that of change is the file system's own.

    Args:
      without: a folder that is left out.
    """
    if not place.exists():
        return None
    files = [place] if place.is_file() else _files(place, {os.path.realpath(place), os.path.realpath(without or "")})
    rows = [
        (os.path.relpath(file, place), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        for file in files
        if (stat := _stat(file))
    ]
    digest = hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()
    return {"place": str(place), "files": len(rows), "bytes": sum(row[1] for row in rows), "sha256": digest}


def _files(folder: Path, visited: set[str]) -> Iterator[Path]:
    for path in folders.entries(folder):
        if path.is_dir():
            if (real := os.path.realpath(path)) not in visited:
                yield from _files(path, visited | {real})
        else:
            yield path


def _stat(file: Path) -> os.stat_result | None:
    """The file's status; None for a broken link."""
    try:
        return file.stat()
    except OSError:
        return None


def _named(value: object) -> tuple[str, ...]:
    """The texts that a key holds: one, or several."""
    values = (value,) if isinstance(value, str) else value if isinstance(value, tuple | list) else ()
    return tuple(one for one in values if isinstance(one, str) and one)


def _stamp(place: str, folder: Path) -> Record | None:
    return store.facts(place) if store.is_address(place) else stamp(Path(place).expanduser(), without=folder)
