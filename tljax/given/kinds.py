"""Guess the kind of a table's labels by their cells: classes, numbers or sets."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tljax.data import spelling
from tljax.data.labels import NO, YES
from tljax.data.table.labelled import MISSING
from tljax.given.found import Changes
from tljax.given.raw_table import Cell, Raw

MEASURES = ("price", "value", "age", "score", "amount", "weight", "height", "length", "quality", "year", "count")
FEW = 20  # at most this many different whole numbers are classes
TIMES = 10  # more whole numbers are classes too, with at least this many rows for each
SENTENCE = 4  # a name of a label has fewer words than this
SETS = ("|", ";", ",")  # separators that are tried


def cells(raw: Raw, name: str) -> list[Cell]:
    """The cells of a column that are not empty."""
    found = [row.get(name) for row in raw.rows]
    return [cell for cell in found if cell is not None and cell == cell and str(cell).strip() not in ("", *MISSING)]


def counts(found: Iterable[str]) -> Mapping[str, int]:
    """Class -> count; names that differ only in spelling are counted together, under the one `spelling` chooses."""
    same: dict[object, Counter[str]] = {}
    for name in found:
        same.setdefault(spelling.key(name), Counter())[name] += 1
    return {spelling.by_use(names)[0]: names.total() for names in same.values()}


def of(raw: Raw, label: Sequence[str], asked: Changes) -> tuple[str, Changes]:
    """The kind of the labels in these columns.

    Returns:
      (classes, numbers or sets; the keys for their format).
    """
    found = [cell for name in label for cell in cells(raw, name)]
    wanted = str(asked.get("data.labels", ""))
    if len(label) > 1:
        return wanted or ("sets" if yes_no(found) else "numbers"), {}
    decimal = _decimal([cell for cell in found if isinstance(cell, str)])
    if wanted == "numbers":
        return wanted, decimal
    if wanted == "classes":
        return wanted, {}
    lists = [cell for cell in found if isinstance(cell, list) or (isinstance(cell, str) and _is_list(cell))]
    if lists and len(lists) > len(found) / 2:
        return "sets", {}
    if numbers(found) and not wanted:
        return _of_numbers([spelling.value(str(cell)) for cell in found], label[0], decimal)
    if separator := _separator([str(cell) for cell in found], wanted):
        return "sets", {} if separator == "|" else {"data.separator": separator}
    return wanted or "classes", {}


def _of_numbers(values: Sequence[float], name: str, decimal: Changes) -> tuple[str, Changes]:
    whole, different = all(value.is_integer() for value in values), len(set(values))
    measures = name.strip().lower() in MEASURES and different > FEW / 2
    if (
        whole
        and not measures
        and 2 * different <= len(values)
        and (different <= FEW or len(values) / different >= TIMES)
    ):
        return "classes", {}
    return ("numbers", decimal) if different > 2 else ("classes", {})


def _separator(found: Sequence[str], wanted: str) -> str:
    """What stands between the names of sets. A comma does where cells are put together of fewer names than there are
    cells, or no space follows it: "Paris, France" is one name.
    """
    for separator in SETS:
        some = [cell for cell in found if separator in cell.strip(separator)]
        names = {name.strip() for cell in found for name in cell.split(separator)}
        if len(some) < max(2, len(found) / 20) or any(len(name.split()) >= SENTENCE for name in names):
            continue
        if wanted or separator != "," or len(names) <= len(set(found)) or not any(", " in cell for cell in some):
            return separator
    return ""


def yes_no(found: Iterable[Cell]) -> bool:
    return all(str(cell).strip().lower() in YES + NO for cell in found)


def _is_list(cell: str) -> bool:
    """Of Python too, which is none of JSON: `labels.parse` says so."""
    return cell.startswith("[") and cell.endswith("]")


def numbers(found: Sequence[Cell]) -> bool:
    """Whether all are numbers, as people write them: 0,5 and 1,000 too. JSON's true is none."""
    return all(not isinstance(cell, bool) and spelling.is_number(str(cell)) for cell in found)


def _decimal(found: Sequence[str]) -> Changes:
    """The character before the fraction, where some number shows it: the comma of 0,5 and 1.000,5, the point of
    1,000.5. 1,000 alone may be both: then the table is refused with the key that says it.
    """
    some = [cell.strip() for cell in found if "," in cell or spelling.POINTS.fullmatch(cell.strip())]
    if any(not spelling.THOUSANDS.fullmatch(cell) for cell in some):
        return {"data.decimal": ","}
    return {"data.decimal": "."} if any("." in cell for cell in some) else {}
