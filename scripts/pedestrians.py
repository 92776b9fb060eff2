"""Fill the tables and the curves of docs/pedestrians.md from run folders: no number on that page is typed.

python scripts/pedestrians.py RUNS [--page docs/pedestrians.md] [--plot docs/pedestrians.svg]

RUNS holds a folder for each suite, as `--workdir RUNS/pixels_resnet` leaves it: a folder for each row, "full_20", with
one for each seed. What stands between `<!--table SUITE-->` and `<!--/-->` is written again: a row for each strategy,
a column for each number of training pictures. What has not been run says so.
"""

import argparse
import re
import statistics
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tljax.core.atomic import read_json
from tljax.reporting import significance

BLOCK = re.compile(r"<!--table (\S+?)-->(.*?)<!--/-->", re.DOTALL)
NOT_RUN = "not run"
SCRATCH = "scratch"  # how far others are ahead of it stands below a table
Scores = dict[str, dict[int, dict[int, float]]]  # strategy -> training pictures -> seed -> the test part's metric


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/pedestrians.md"))
    parser.add_argument("--plot", type=Path, default=Path("docs/pedestrians.svg"))
    options = parser.parse_args()
    text = options.page.read_text(encoding="utf-8")
    options.page.write_text(filled(text, options.runs), encoding="utf-8")
    plot(options.runs, BLOCK.findall(text), options.plot)


def filled(text: str, runs: Path) -> str:
    """The page with every block written again."""
    return BLOCK.sub(lambda match: f"<!--table {match[1]}-->{table(runs / match[1])}<!--/-->", text)


def scores(suite: Path) -> tuple[Scores, list[Mapping]]:
    """(What the finished runs of a suite reached, their results)."""
    found: Scores = {}
    files = sorted(suite.glob("*_*/seed*/result.json"), key=lambda file: str(file))
    results = [read_json(file) for file in files]
    for file, one in zip(files, results, strict=True):
        strategy, _, pictures = file.parents[1].name.rpartition("_")
        of_size = found.setdefault(strategy, {}).setdefault(int(pictures), {})
        of_size[one["seed"]] = one["metrics"]["test"][one["metric"]]
    return found, results


def table(suite: Path) -> str:
    """Strategies x training pictures, in percent, with the interval over seeds; and how far each is above scratch."""
    found, results = scores(suite)
    if not found:
        return f"\n{NOT_RUN}\n"
    sizes = sorted({size for of_sizes in found.values() for size in of_sizes})
    lines = [
        [name, *(_cell(list(of_sizes.get(size, {}).values())) for size in sizes)] for name, of_sizes in _ordered(found)
    ]
    behind = found.get(SCRATCH, {})
    for name, of_sizes in _ordered(found):
        pairs = {size: [x - behind[size][seed] for seed, x in of_sizes.get(size, {}).items()
                        if seed in behind.get(size, {})] for size in sizes}  # fmt: skip
        if name != SCRATCH and any(pairs.values()):
            lines.append([f"{name} - {SCRATCH}, paired", *(_cell(pairs[size], sign="+") for size in sizes)])
    head = ["strategy", *(f"{size} pictures" for size in sizes)]
    text = "".join("| " + " | ".join(line) + " |\n" for line in (head, ["---"] * len(head), *lines))
    seconds = statistics.mean(one["seconds"]["total"] for one in results)
    return (
        f"\n{text}\n{results[0]['metric']} in % of {results[0]['counts']['test']} test pictures; in brackets the "
        f"95 % t-interval over 3 seeds, or the values of 2; {len(results)} runs of {seconds / 60:.1f} minutes on "
        f"average.\n"
    )


def plot(runs: Path, blocks: list[tuple[str, str]], file: Path) -> None:
    """A panel for each suite: what every strategy reached over the number of training pictures, with intervals."""
    drawn = {suite: found for suite, _ in blocks if (found := scores(runs / suite)[0])}
    if not drawn:
        return
    mpl.rcParams["svg.hashsalt"] = "pedestrians"
    drawing = Figure(figsize=(4.0 * len(drawn), 3.5), layout="constrained")
    for axis, (suite, found) in zip(
        np.ravel(drawing.subplots(1, len(drawn), squeeze=False)), drawn.items(), strict=True
    ):
        for shift, (name, of_sizes) in enumerate(_ordered(found)):
            points = [(size, [100 * x for x in of_sizes[size].values()]) for size in sorted(of_sizes)]
            middle = [statistics.mean(values) for _, values in points]
            ends = [
                significance.interval(values) or (mean, mean) for (_, values), mean in zip(points, middle, strict=True)
            ]
            bars = [[mean - low for mean, (low, _) in zip(middle, ends, strict=True)],
                    [high - mean for mean, (_, high) in zip(middle, ends, strict=True)]]  # fmt: skip
            places = [size * 1.02**shift for size, _ in points]  # beside each other
            axis.errorbar(places, middle, yerr=bars, label=name, marker="o", markersize=3, linewidth=1, capsize=2)
        axis.set(title=suite, xlabel="training pictures", ylabel="test %", xscale="log")
        axis.set_xticks(sorted({size for of_sizes in found.values() for size in of_sizes}))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
    np.ravel(drawing.axes)[0].legend(fontsize="small")
    drawing.savefig(file, metadata={"Date": None})


def _ordered(found: Scores) -> list[tuple[str, dict[int, dict[int, float]]]]:
    """By the mean over all runs, best first."""
    mean = {name: statistics.mean(x for one in sizes.values() for x in one.values()) for name, sizes in found.items()}
    return sorted(found.items(), key=lambda pair: -mean[pair[0]])


def _cell(values: list[float], sign: str = "") -> str:
    if not values:
        return NOT_RUN
    percent = [100 * x for x in values]
    if len(percent) == 1:
        between = "1 seed"
    elif len(percent) == 2:  # an interval of two says nothing
        between = " and ".join(f"{x:{sign}.1f}" for x in percent)
    else:
        low, high = significance.interval(percent) or (percent[0], percent[0])
        low, high = (low, high) if sign else (max(low, 0.0), min(high, 100.0))
        between = f"{low:{sign}.1f} to {high:{sign}.1f}"
    return f"{statistics.mean(percent):{sign}.1f} ({between})"


if __name__ == "__main__":
    main()
