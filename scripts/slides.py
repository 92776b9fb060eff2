"""Fill the figures and tables of docs/slides.md from run folders: no number on that page is typed.

python scripts/slides.py RUNS [--page docs/slides.md] [--plot docs/slides.svg] [--name PATH=WORD ...]

RUNS holds a folder for each suite, as `--workdir RUNS/caltech101` leaves it. What stands between `<!--WORD ...-->` and
`<!--/-->` is written again:

  figure SUITE/ROW              mean, 95 % interval, seeds and test examples, in a line
  drop SUITE/ROW DOMAIN         the same of another domain
  gain SUITE/ROW SUITE/ROW      how much better the first is, paired by the seeds that both have
  table SUITE                   a row for each row of the suite, and its command
  transfer SUITE                source x target
  plot FILE                     the picture that --plot draws, if there is anything to draw
  advice SUITE                  the rows of configs/advice.py: examples a class x strategy, and what `auto` chose

What has not been run says so. `--name /my/data='$DATA'` writes a path of this machine as a word.
"""

import argparse
import json
import re
import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tljax.core.atomic import read_json
from tljax.reporting import significance
from tljax.runs import domain_transfer

BLOCK = re.compile(r"<!--(figure|drop|gain|table|transfer|advice|plot) ([^>]*?)-->(.*?)<!--/-->", re.DOTALL)
HEAD = ("row", "test %", "95 % interval", "seeds", "test n", "train n", "pixels", "epochs", "seconds")
NOT_RUN = "not run"
Run = dict[str, Any]  # result.json, with "config" and "command"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/slides.md"))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--name", action="append", default=[], metavar="PATH=WORD")
    options = parser.parse_args()
    words = dict(pair.split("=", 1) for pair in options.name)
    text = options.page.read_text(encoding="utf-8")
    options.page.write_text(filled(text, options.runs, words), encoding="utf-8")
    if options.plot:
        plot(options.runs, options.plot)


def filled(text: str, runs: Path, words: Mapping[str, str]) -> str:
    """The page with every block written again."""

    def block(match: re.Match[str]) -> str:
        kind, arguments = match[1], match[2].split()
        found = WRITE[kind](runs, *arguments) if kind != "table" else table(runs, *arguments, words)
        return f"<!--{kind} {match[2]}-->{found}<!--/-->"

    return BLOCK.sub(block, text)


def rows(runs: Path, suite: str) -> dict[str, list[Run]]:
    """Row -> its finished runs by seed, in the order in which the rows began."""
    begun = sorted((runs / suite).glob("*/seed*/env.json"), key=lambda file: file.stat().st_mtime_ns)
    names = list(dict.fromkeys(file.parents[1].name for file in begun))
    found = {name: _runs(runs / suite / name) for name in names}
    return {name: some for name, some in found.items() if some}


def _runs(row: Path) -> list[Run]:
    places = sorted(row.glob("seed*/result.json"), key=lambda file: int(file.parent.name.removeprefix("seed")))
    return [
        read_json(place)
        | {
            "config": read_json(place.parent / "config.json"),
            "command": read_json(place.parent / "env.json")["command"],
            "folder": place.parent,
        }
        for place in places
    ]


def figure(runs: Path, row: str) -> str:
    """A row's mean with its interval."""
    return _line([run["metrics"]["test"] for run in _row(runs, row)])


def drop(runs: Path, row: str, domain: str) -> str:
    """A row's mean on another domain."""
    return _line([run["metrics"][domain] for run in _row(runs, row)])


def gain(runs: Path, row: str, other: str) -> str:
    """How much better the first row is, in points."""
    one, two = ({run["seed"]: _accuracy(run) for run in _row(runs, path)} for path in (row, other))
    differences = [one[seed] - two[seed] for seed in sorted(one.keys() & two.keys())]
    if not differences:
        return NOT_RUN
    interval = significance.interval(differences)
    said = f" (95 % {100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})" if interval else ""
    return f"{100 * statistics.mean(differences):+.1f}{said}, {_seeds(len(differences))}"


def table(runs: Path, suite: str, words: Mapping[str, str]) -> str:
    """The rows of a suite, and the command that made them."""
    found = rows(runs, suite)
    if not found:
        return f"\n{NOT_RUN}\n"
    lines = [[name, *_cells(some)] for name, some in found.items()]
    command = _command(next(iter(found.values()))[0]["command"], words)
    return f"\n```\n{command}\n```\n{_markdown(HEAD, lines)}"


def transfer(runs: Path, suite: str) -> str:
    """Source x target, with the drop."""
    found = domain_transfer.summarize(rows(runs, suite))
    return f"\n{domain_transfer.markdown(found)}" if found else f"\n{NOT_RUN}\n"


def advice(runs: Path, suite: str) -> str:
    """Examples a class x strategy; what `auto` chose, and how far its choice is behind the best row, in points."""
    found = rows(runs, suite)
    names = list(dict.fromkeys(name.rpartition("_")[0] for name in found if not name.startswith("auto_")))
    lines = []
    for size in sorted({int(name.rpartition("_")[2]) for name in found}):
        some = {name: found.get(f"{name}_{size}", []) for name in names}
        means = {name: statistics.mean(map(_accuracy, of)) for name, of in some.items() if of}
        chosen = found.get(f"auto_{size}", [])
        best = max(means, key=means.__getitem__) if means else ""
        lines.append([
            str(size),
            *(_short(some[name]) + (" *" if name == best else "") for name in names),
            _chosen(chosen),
            f"{100 * (means[best] - statistics.mean(map(_accuracy, chosen))):+.1f}" if chosen and best else "-",
        ])  # fmt: skip
    if not lines:
        return f"\n{NOT_RUN}\n"
    return "\n" + _markdown(("examples a class", *names, "auto: similarity, choice", "behind the best"), lines)


def picture(runs: Path, file: str) -> str:
    """The line that shows the plot."""
    return f"\n![Accuracy over seconds, from scratch and with transfer]({file})\n" if _drawn(runs) else f"\n{NOT_RUN}\n"


WRITE = {"figure": figure, "drop": drop, "gain": gain, "transfer": transfer, "advice": advice, "plot": picture}


def plot(runs: Path, file: Path) -> None:
    """Validation accuracy over seconds of training, from scratch and with transfer: a line for each run, as SVG."""
    shown = _drawn(runs)
    if not shown:
        return
    mpl.rcParams["svg.hashsalt"] = "slides"
    size = (4.5 * len(shown), 3.5)
    drawing = Figure(figsize=size, layout="constrained")
    for axis, (suite, lines) in zip(
        np.ravel(drawing.subplots(1, len(shown), squeeze=False)), shown.items(), strict=True
    ):
        for name, seconds, accuracies in lines:
            scratch = "scratch" in name
            axis.plot(seconds, accuracies, color="#d95f02" if scratch else "#1b9e77", alpha=0.6, linewidth=1)
        axis.plot([], [], color="#d95f02", label="from scratch")
        axis.plot([], [], color="#1b9e77", label="transfer")
        axis.set(title=suite, xlabel="seconds of training", ylabel="validation accuracy", xscale="log")
        axis.xaxis.set_major_formatter("{x:g}")  # not 10^1: figures of tljax write text as it is
        axis.legend()
    drawing.savefig(file, metadata={"Date": None})


def _drawn(runs: Path) -> dict[str, list[tuple[str, list[float], list[float]]]]:
    """Suite -> the name and curve of each run, for suites whose runs began both ways and were looked at on the way."""
    shown = {}
    for suite in sorted(place.name for place in runs.iterdir() if place.is_dir()):
        lines = [(name, *_curve(run)) for name, some in rows(runs, suite).items() for run in some]
        lines = [line for line in lines if len(line[1]) > 1]
        if {"scratch" in name for name, *_ in lines} == {True, False}:
            shown[suite] = lines
    return shown


def _curve(run: Run) -> tuple[list[float], list[float]]:
    """(seconds, accuracies) of the evaluations on the validation part; steps are taken as equally long."""
    lines = (run["folder"] / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    points = [json.loads(line) for line in lines]
    points = [one for one in points if one["part"] == "validation" and run["metric"] in one]
    last = max((one["step"] for one in points), default=1)
    pace = run["seconds"]["train"] / last
    return [one["step"] * pace for one in points], [one[run["metric"]] for one in points]


def _row(runs: Path, path: str) -> list[Run]:
    suite, _, row = path.partition("/")
    return _runs(runs / suite / row)


def _accuracy(run: Run) -> float:
    return run["metrics"]["test"][run["metric"]]


def _line(parts: Sequence[Mapping[str, float]]) -> str:
    if not parts:
        return NOT_RUN
    values, number = [part["accuracy"] for part in parts], int(parts[0]["examples"])
    return f"{100 * statistics.mean(values):.1f} ({_interval(values, number)}; {_seeds(len(values))}, n {number:,})"


def _interval(values: Sequence[float], examples: int) -> str:
    """The wider of two: over seeds, and of a share of so many examples; a test part may be that of every seed."""
    found = [significance.wilson(statistics.mean(values), examples), significance.interval(values) or (1.0, 0.0)]
    low, high = min(low for low, _ in found), max(high for _, high in found)
    return f"{100 * max(low, 0):.1f} to {100 * min(high, 1):.1f}"


def _seeds(number: int) -> str:
    return f"{number} seed{'s' * (number > 1)}"


def _cells(some: Sequence[Run]) -> list[str]:
    values, first = [_accuracy(run) for run in some], some[0]
    number, config = first["counts"]["test"], first["config"]
    return [
        f"{100 * statistics.mean(values):.2f}",
        _interval(values, number),
        str(len(values)),
        f"{number:,}",
        f"{first['counts']['train']:,}",
        str(config["data"]["size"]),
        "-" if not first["step"] else f"{config['train']['epochs']:g}",
        f"{statistics.mean(run['seconds']['total'] for run in some):.0f}",
    ]


def _short(some: Sequence[Run]) -> str:
    if not some:
        return "-"
    values = [_accuracy(run) for run in some]
    spread = f" ({100 * statistics.stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def _chosen(some: Sequence[Run]) -> str:
    decisions = [read_json(run["folder"] / "decision.json") for run in some]
    said = dict.fromkeys(f"{one['strategy']}" for one in decisions)
    similar = [one["similarity"] for one in decisions]
    return f"{statistics.mean(similar):.2f}, {' or '.join(said)}" if decisions else "-"


def _command(arguments: Sequence[str], words: Mapping[str, str]) -> str:
    """A run's command for the page: paths as words; --workdir and --config.report are left out."""
    kept, rest = [], iter(arguments)
    for one in rest:
        if one == "--workdir":
            next(rest)
        elif not one.startswith(("--config.report", "--config.writers")):
            kept.append(one)
    text = " ".join(one if re.fullmatch(r"[\w./:=,-]+", one) else shlex.quote(one) for one in kept)
    for path, word in sorted(words.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(path, word)
    return f"python {text}"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    every = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in every)


if __name__ == "__main__":
    main()
