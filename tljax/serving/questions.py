"""The inputs for predictions: pictures, texts, and rows of tables, read with the settings of the run's training."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax.core import config_tables, plugins
from tljax.core.errors import ConfigError, DataError
from tljax.core.near_names import paths
from tljax.core.remote import copies
from tljax.core.remote.store import is_address
from tljax.core.types import Dataset
from tljax.data import folders, pictures, tables, texts
from tljax.data.parts import groups
from tljax.data.picture import frames
from tljax.data.sources import picture_table, text_folder
from tljax.data.texts import Row
from tljax.serving import stored_config
from tljax.serving.saved_model import Model

TABLES = {"picture": "picture_table", "text": "text_csv"}  # the source for tables, if the run's source reads none
EXAMPLES = {"picture": "image", "text": "text"}  # its column of examples
ID = "id"  # the column with the names of rows of texts, if a table has it
ID_HELP = "of a table: the column that names rows; default: of pictures that of the path, of texts id, else the line"


@dataclasses.dataclass
class Questions:
    """The inputs, in order: `asked[i]` is an argument of `Predictor.rows`, `names[i]` its name for the user."""

    names: list[str] = dataclasses.field(default_factory=list)
    asked: list[Any] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)  # "name: reason" for inputs that cannot be used
    notes: list[str] = dataclasses.field(default_factory=list)  # findings, for the user

    def add(self, name: str, asked: Any) -> None:
        self.names.append(name)
        self.asked.append(asked)

    def stems(self) -> list[str]:
        """A file's name for each, without a picture's ending; pictures of one name in several folders are numbered."""
        found: dict[str, None] = {}
        for name in self.names:
            place = Path(name)
            stem = plain = place.stem if place.suffix.lower() in pictures.SUFFIXES else place.name
            number = 2
            while stem in found:
                stem, number = f"{plain}-{number}", number + 1
            found[stem] = None
        return list(found)


def kind(model: Model) -> str:
    """The kind of inputs of the run: "picture" or "text"."""
    return "text" if "lengths" in model.input else "picture"


def find(run: Path, model: Model, places: Sequence[str], columns: Mapping[str, str] | None = None) -> Questions:
    """Everything that `places` name: pictures, folders, tables, also at addresses; and texts, of a run on texts.

    Args:
      run: the folder of the run, whose config says how its tables are read.
      columns: "text", "pair", "image" and "id" of tables, where they are not those of the training.

    Raises:
      DataError: a place that is none of these (all are named), a table that cannot be read as the run's.
      ConfigError: the run did not learn from tables, and no column is named.
    """
    found, wrong = Questions(), []
    for asked in places:
        remote = is_address(asked) and (kind(model) == "picture" or is_table(asked))  # a text may begin so too
        place = str(copies.local(asked)) if remote else asked
        if is_table(place) and not Path(place).is_file():
            raise DataError(f"There must be a table '{place}'; there is no such file.{paths.near(place)}")
        if is_table(place):
            _add_rows(found, run, model, Path(place), columns or {})
        elif kind(model) == "text":
            _add_texts(found, place)
        else:
            inside = _pictures(Path(place))
            wrong += [] if inside else [asked]
            found.notes += frames.notes(inside)
            for file in inside:
                found.add(asked + str(file).removeprefix(place) if remote else str(file), file)
    if wrong:
        gone = [place for place in wrong if not Path(place).exists() and not is_address(place)]
        said = f" There is no {', '.join(gone)}.{''.join(map(paths.near, gone))}" if gone else ""
        raise DataError(
            f"Every IMAGE must be a picture or a folder of pictures ({', '.join(sorted(pictures.SUFFIXES))}), or a "
            f"table of the run's kind; these are neither: {', '.join(wrong)}.{said}"
        )
    return found


def is_table(place: str) -> bool:
    """Whether an argument is a table: it has the suffix of one, and is a file, or a single word without a file."""
    suffix = Path(place).suffix.lower() in tables.SUFFIXES
    return suffix and (Path(place).is_file() or not any(map(str.isspace, place)))


def reading(run: Path, model: Model) -> ConfigDict | None:
    """The settings with which the run's training read its data, as config.data, for all splits and rows.

    None if there is only the folder model/, which does not hold them.

    Raises:
      DataError: see `stored_config.read`.
    """
    file = stored_config.place(run)
    return everything(stored_config.read(file, model.family)) if file else None


def everything(config: ConfigDict) -> ConfigDict:
    """config.data without the keys that choose examples for a run's parts."""
    data = config_tables.copied(config.data)
    data.update(divide=(), targets=(), unlabelled=(), group="", duplicates="keep", fractions=(0.5, 0.0, 0.5))
    return data


def loaded(data: ConfigDict) -> Dataset:
    """The data set of other data than a run's own: pictures that lie beside it, else in the folder of the training's,
    with a note: both may have the same names.

    Raises:
      DataError: see the source.
    """
    source = plugins.find_known("sources", data.source)
    if not data.get("pictures"):
        return source.load(data)
    beside = config_tables.copied(data)
    beside.pictures = ""
    with contextlib.suppress(DataError):
        return source.load(beside)
    found = source.load(data)
    note = f"pictures are looked for in '{data.pictures}', as in training: beside '{data.dir}' they are not"
    return dataclasses.replace(found, info=dataclasses.replace(found.info, notes=(*found.info.notes, note)))


def _pictures(place: Path) -> list[Path]:
    """The picture itself, or those at any depth of a folder, sorted; hidden ones are left out, as in training."""
    if place.is_dir():
        return list(folders.inside(place, pictures.SUFFIXES))
    return [place] if folders.is_example(place, pictures.SUFFIXES) else []


def _add_texts(found: Questions, place: str) -> None:
    """A text, the text in a file, or those of a folder."""
    path = Path(place) if len(place) < 1024 and "\0" not in place else Path()
    if path.is_dir() and path != Path():
        files = list(folders.inside(path, text_folder.SUFFIXES))
        if not files:
            raise DataError(f"'{place}' must hold texts ({', '.join(text_folder.SUFFIXES)}); it holds none.")
    else:
        files = [path] if folders.is_example(path, text_folder.SUFFIXES) else []
    for file in files:
        found.add(str(file), texts.read(file, key="--encoding").strip())
    if not files:
        found.add(f"text {len(found.names) + 1}", place)


def _add_rows(found: Questions, run: Path, model: Model, file: Path, columns: Mapping[str, str]) -> None:
    """Every row of a table: a picture goes by its path as the table has it, a text by its id or its place."""
    data = of_table(run, model, file, columns)
    data.update(labels="none", unreadable="skip", duplicates="keep")
    dataset = loaded(data)
    (split,) = dataset.splits.values()
    text, column = kind(model) == "text", columns.get("id", "")
    ids = _ids(file, data, column, found) if text or column else {}
    rows: Sequence[Row] = split.rows if isinstance(split, texts.Texts | picture_table.Listed) else ()
    others = [] if rows else groups.files_of(split) or range(len(split))
    names = [ids.get(row.id.rpartition(":")[2], row.id if text else row.text) for row in rows] or map(str, others)
    for i, name in enumerate(names):
        found.add(name, partial(split.__getitem__, i))
    found.faults += dataset.info.skipped
    found.notes += dataset.info.notes


def of_table(run: Path, model: Model, file: Path, columns: Mapping[str, str]) -> ConfigDict:
    """The settings for this table, as config.data: those of the run, or from the named columns.

    Raises:
      ConfigError: the run did not learn from tables, and no column is named.
    """
    data, example = reading(run, model), EXAMPLES[kind(model)]
    if data is None or example not in data.get("columns", ()):
        if not columns.get(example):
            raise ConfigError(
                f"A table needs the name of its column: this run did not learn from tables, so that nothing says which "
                f"of '{file}' holds the {kind(model)}s. Give --{example} COLUMN."
            )
        data = everything(stored_config.of_source(TABLES[kind(model)], model.family))
    data.update(dir=str(file))
    data.columns.split = ""
    for name in data.columns:
        data.columns[name] = columns.get(name) or data.columns[name]
    return data


def _ids(file: Path, data: ConfigDict, column: str, found: Questions) -> dict[str, str]:
    """Line -> the id of its row; by default from the column "id", if there is one, with a note."""
    try:
        rows, _ = tables.read(file, data, (column or ID,))
    except DataError:
        if column:
            raise
        return {}
    if not column:
        found.notes.append(f"{file.name}: rows go by their column '{ID}' (--id names another)")
    ids = {str(line): str(cells[column or ID]) for line, cells in rows}
    if again := len(ids) - len(set(ids.values())):
        found.notes.append(f"warning: {again:,} rows of {file.name} have the '{column or ID}' of another row")
    return ids
