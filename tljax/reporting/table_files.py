"""Tables as files for papers and programs: LaTeX (booktabs) and CSV."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from tljax.core.atomic import whole, write
from tljax.core.errors import ConfigError

PICTURES = (".png", ".pdf", ".svg")  # a table drawn, by `figures`
SUFFIXES = (".tex", ".csv", *PICTURES)
ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( to [-+]?[\d.]+)?|-")


def save(lines: Sequence[Sequence[str]], file: Path) -> None:
    """Write lines of cells, the first of them names of columns, as .csv or .tex.

    Raises:
      ConfigError: no such format.
    """
    if file.suffix == ".tex":
        write(file, latex(lines))
    elif file.suffix == ".csv":
        with whole(file) as part, part.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows(lines)
    else:
        raise ConfigError(f"A table is written as .csv, .tex, {', '.join(PICTURES)}; got '{file}'.")


def latex(lines: Sequence[Sequence[str]]) -> str:
    r"""A tabular of the package booktabs; columns of numbers stand to the right."""
    (first, *rows) = lines
    right = [all(NUMBER.fullmatch(row[i]) for row in rows) for i in range(len(first))]
    layout = "".join("r" if one else "l" for one in right)
    body = [" & ".join(map(_escaped, row)) + r" \\" for row in rows]
    head = " & ".join(map(_escaped, first)) + r" \\"
    top = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*top, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(cell: str) -> str:
    """What LaTeX would obey, as it is printed."""
    return "".join(ESCAPED.get(one, f"\\{one}" if one in "&%$#_{}" else one) for one in cell)
