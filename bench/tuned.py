"""Tune every row alike, then compare: the setting of each row that validation chooses, and the table of a page.

    tljax compare --config FILE --strategies A,B --grid optimizer.lr=1e-3,1e-2 --seeds 1 --workdir runs/grid
    python -m bench.tuned runs/grid              # prints A:optimizer.lr=1e-2,B:optimizer.lr=1e-3
    tljax compare --config FILE --strategies $(python -m bench.tuned runs/grid) --seeds 3 --workdir runs/grid
    python -m bench.tuned runs/grid --table      # as Markdown, of the comparison just made

The second comparison finds the first seed's runs in the folder. Test parts choose nothing.
"""

import argparse
import json
from pathlib import Path
from typing import Any

COLUMNS = ("method", "setting", "test %", "sd", "95 % test size", "validation %", "learns", "seconds", "seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a comparison")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    for table in json.loads((args.folder / "comparison.json").read_text())["tables"]:
        rows = [row for row in table["rows"] if row["values"]]
        if not args.table:
            print(",".join(row["name"] for row in chosen(rows).values()))
            continue
        size = table["examples_per_class"]
        print(f"\n{size} examples a class" if size else "")
        print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
        for row in sorted(rows, key=lambda row: -row["mean"]):
            print("| " + " | ".join(cells(row)) + " |")


def chosen(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Method -> its row with the highest validation; of equal ones the first."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        method = row["name"].partition(":")[0]
        if method not in best or row["validation"] > best[method]["validation"]:
            best[method] = row
    return best


def cells(row: dict[str, Any]) -> list[str]:
    method, _, setting = row["name"].partition(":")
    low, high = row["test_size"]
    return [
        f"`{method}`",
        setting.replace("optimizer.", "").replace(":", ", "),
        f"{100 * row['mean']:.1f}",
        f"{100 * row['sd']:.1f}" if row["sd"] is not None else "-",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{100 * row['validation']:.1f}",
        f"{row['trainable']:,}",
        f"{row['seconds']:.0f}",
        str(len(row["values"])),
    ]


if __name__ == "__main__":
    main()
