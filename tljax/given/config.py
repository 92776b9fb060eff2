"""From the user's argument to a config: a config file, or examples with the keys that an expert would set."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import config_files, overrides, plugins
from tljax.core.errors import ConfigError, DataError
from tljax.core.near_names import paths
from tljax.core.remote import copies
from tljax.core.remote.store import is_address
from tljax.core.untrusted import printable
from tljax.data.tables import SUFFIXES as TABLES
from tljax.given import boxes, folder, masks, recipe, table
from tljax.given.found import Changes, Found
from tljax.weights import search

FROM_SCRATCH = ("resnet", "18")
FLAT = ("vit",)  # families whose maps are all of one stride; for pixels and boxes others are better


@dataclasses.dataclass(frozen=True)
class Given:
    """The config for a path and the flags beside it."""

    config: ConfigDict
    name: str  # default name of the run's folder
    changes: Changes  # the guessed keys; {} for the user's own config
    notes: tuple[str, ...]  # findings, for the user


def read(place: str, asked: Sequence[str] = (), *, rows: bool = False) -> Given:
    """The config for `place`.

    Args:
      place: a folder of examples, a table (csv, tsv, jsonl, parquet), a COCO json, a config's file, or the name
        of one, "name:row".
      asked: "key=value" from the command line; these override guesses.
      rows: see `recipe.changes`.

    Raises:
      TljaxError: `place` does not exist, has no examples, a key does not fit, or there are no weights.
    """
    if not is_data(place):
        path, _, row = place.partition(":")
        config = overrides.apply(config_files.load(place), asked)
        return Given(config, "-".join(filter(None, (Path(path).stem, row))), {}, ())
    set_: Changes = {key: value for key, _, value in (one.partition("=") for one in asked)}
    root = copies.local(place)
    found = _look(root, {key: str(copies.local(value)) if is_address(value) else value for key, value in set_.items()})
    last = FLAT if found.labels in ("maps", "boxes") else ()
    weights = _random(found, set_) or search.find(found.input, str(set_.get("model.weights", "")), last=last)
    keys, notes = recipe.changes(found, weights, set_, rows=rows)
    keys = {key: copies.named(x) if isinstance(x, str) else x for key, x in {**keys, **found.changes}.items()}
    changes = {key: value for key, value in keys.items() if key not in set_ or key == "model.weights"}
    flags = [one for one in asked if not one.startswith("model.weights=")]
    config = overrides.apply(
        config_files.default(), [*(f"{key}={_text(value)}" for key, value in changes.items()), *flags]
    )
    return Given(config, _name(root), changes, (_counted(found), *found.notes, *notes))


def _random(found: Found, asked: Changes) -> search.Choice | None:
    """A network of pictures that begins at random, so that no weights are looked for; None where some are wanted.

    Texts need the tokenizer of published weights, from scratch too.
    """
    if asked.get("strategy.name") != "scratch" or found.input != "image" or "model.weights" in asked:
        return None
    family = str(asked.get("model.family", FROM_SCRATCH[0]))
    variant = str(asked.get("model.variant", FROM_SCRATCH[1] if family == FROM_SCRATCH[0] else ""))
    if not variant:
        known = plugins.find("families", family).VARIANTS
        raise ConfigError(f"--config.model.variant must say which {family} begins at random: {', '.join(known)}.")
    return search.Choice("", family, variant, "strategy scratch")


def _look(root: Path, asked: Changes) -> Found:
    """What a folder or a file holds. Examples of another kind get a file beside `folder` and `table`, and a line here.

    Raises:
      DataError: there are no examples, or a .json file is not COCO's.
    """
    if root.is_dir():
        return boxes.look(root, asked) or masks.look(root, asked) or folder.look(root, asked)
    if root.suffix.lower() != boxes.COCO:
        return table.look(root, asked)
    if not (found := boxes.look(root, asked)):
        raise DataError(f"Masks belong to a folder of pictures; '{root}' is a file. Leave out --masks.")
    return found


def of_flags(
    data: str | None, config: str | None, asked: Sequence[str], *, default: str = "", rows: bool = False
) -> Given:
    """The config for the one of DATA and --config that a verb was given; what is found out about DATA is printed.

    Args:
      default: the config where there is neither; "": that is an error.
      rows: see `recipe.changes`.

    Raises:
      ConfigError: both were given, or neither.
      TljaxError: see `read`.
    """
    if bool(data) == bool(config) and not (default and not data):
        raise ConfigError(
            f"Give one of a folder or table and --config; got {f'{data!r} and --config={config}' if data else 'none'}."
        )
    place = data or config or default
    found = read(place, asked, rows=rows)
    for note in found.notes:
        print(printable(note))
    return found if is_data(place) else dataclasses.replace(found, name=Path(place.partition(":")[0]).stem)


def is_data(place: str) -> bool:
    """Whether `place` holds examples, or is a config.

    Raises:
      DataError: it looks like a folder or a table, but does not exist.
    """
    path = copies.local(place)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in (*TABLES, boxes.COCO)):
        return True
    if path.is_file() and path.suffix != ".py":
        raise DataError(
            f"Examples must be a folder, a table that ends in {', '.join(TABLES)}, or a COCO json; '{place}' is none "
            f"of these. Unpack an archive; save a spreadsheet as .csv."
        )
    if not path.exists() and path.suffix not in ("", ".py") and ":" not in place:
        raise DataError(f"There must be a file '{place}'; there is none.{paths.near(path)}")
    if not path.exists() and (" " in place or place.endswith("/") or (path.parent != Path() and not path.suffix)):
        raise DataError(f"There must be a folder '{place}'; there is none.{paths.near(path)}")
    return False


def _counted(found: Found) -> str:
    """A line with the number of examples of each class."""
    if not found.counts:
        return f"data: {found.examples:,} examples, labels are {found.labels}"
    shown = sorted(found.counts, key=lambda name: -found.counts[name])[:8]
    more = f" and {len(found.counts) - len(shown)} more" if len(found.counts) > len(shown) else ""
    where = f" in '{train}'" if (train := found.changes.get("data.splits.train")) else ""
    return (
        f"data: {found.examples:,} examples{where}, {len(found.counts)} classes: "
        + ", ".join(f"{name} {found.counts[name]:,}" for name in shown)
        + more
    )


def _name(root: Path) -> str:
    """A name for the run's folder, without characters that are special in shells and paths."""
    name = root.resolve().stem if root.is_file() else root.resolve().name
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "run"


def _text(value: object) -> str:
    """A value as the command line gives it."""
    return repr(value) if isinstance(value, tuple) else str(value)
