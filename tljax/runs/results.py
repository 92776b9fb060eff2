"""Results: that of one run, and a table of many runs with their seeds."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from tljax.core.atomic import make_folder, read_json, write, write_json
from tljax.core.errors import DataError
from tljax.core.layer_groups import Groups
from tljax.core.trees import count, flatten
from tljax.core.untrusted import Json, Record
from tljax.data import labels
from tljax.data.parts import domains
from tljax.reporting import figures, table_files, throughput
from tljax.serving import evaluation
from tljax.training import optimizer
from tljax.training.features import Took
from tljax.training.job import Job
from tljax.training.train_loop import Trained
from tljax.training.train_state import TrainState

COLUMNS = ("row", "test %", "spread", "train %", "seeds", "test n", "seconds", "trainable", "parameters")


def make(job: Job, trained: Trained, totals: Json, took: Took) -> Record:
    """The content of result.json, except the values that the report measures.

    Args:
      totals: part -> the sums of its evaluation.
      took: the time of computing features.
    """
    state = trained.state
    metrics = {part: job.task.summarize(sums) for part, sums in totals.items()}
    metrics |= {"test": evaluation.measured(job.task, totals["test"])} if "test" in totals else {}
    learning = {group for phase in job.phases for group in phase.learning}
    return {
        "metric": job.task.BEST_METRIC,
        "metrics": metrics,
        "counts": {part: values["examples"] for part, values in metrics.items()},
        "seed": job.config.seed,
        **job.method.named(job.config.strategy.name),
        "source": domains.source(job.config.data),
        "step": int(state.step),
        "parameters": {
            "total": count(jax.eval_shape(job.variables, state)["params"]),  # of the network in model/
            "trainable": _size(state, {g: p for g, p in job.groups.items() if g in learning}),
        },
        "optimizer_bytes": sum(optimizer.state_bytes(state.opt_state).values()),
        "step_bytes": trained.step_bytes,
        "seconds": {"features": took.seconds, "train": trained.seconds},
        "throughput": trained.throughput | throughput.padding(took.tokens, took.places),
        **({"oracle": trained.oracle} if trained.oracle else {}),
    }


def read(folder: Path, file: str = "result.json") -> Record:
    """The result (or the config.json) of a finished run.

    Raises:
      DataError: the folder holds none, or it is damaged.
    """
    result = read_json(folder / file)
    try:
        if file == "result.json":
            _summary("", [result])
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(
            f"A finished run must hold a whole {file}; in '{folder}' it has not all fields for tables ({error!r}). "
            f"Remove that folder and run it again."
        ) from error
    return result


def summarize(rows: Mapping[str, Sequence[Record]]) -> list[Record]:
    """Row -> its results over seeds: mean, sample standard deviation and the values."""
    return [_summary(name, results) for name, results in rows.items() if results]


def cells(summary: Record) -> list[str]:
    """One row of the table, in the order of COLUMNS."""
    percent = {key: "-" if (x := summary[key]) is None else f"{100 * x:.2f}" for key in ("mean", "spread", "train")}
    return [
        summary["name"],
        percent["mean"],
        percent["spread"],
        percent["train"],
        str(len(summary["values"])),
        f"{summary['examples']:,}",
        f"{summary['seconds']:.1f}",
        f"{summary['trainable']:,}",
        f"{summary['parameters']:,}",
    ]


def unlike(folders: Sequence[Path]) -> list[str]:
    """A note of each fact in which finished runs differ that stand in one table: their figures may not be comparable.

    Facts are the metric, the data and their state, the number of test examples, the classes, devices and versions.
    """
    facts = {folder: _facts(folder) for folder in folders}
    notes = []
    for fact in dict.fromkeys(fact for known in facts.values() for fact in known):
        runs: dict[str, list[str]] = {}
        for folder, known in facts.items():
            if fact in known:
                runs.setdefault(known[fact], []).append(str(folder))
        if len(runs) > 1:
            values = "; ".join(f"{value} in {labels.cut(names)}" for value, names in list(runs.items())[: labels.SHOWN])
            notes.append(f"these runs differ in {fact}: {values}")
    return notes


def _facts(folder: Path) -> dict[str, str]:
    """What is known of a finished run's circumstances; {} if its files are damaged. Earlier versions kept less."""
    try:
        return {fact: value for fact, value in _read_facts(folder).items() if value}
    except (DataError, KeyError, TypeError, AttributeError):
        return {}


def _read_facts(folder: Path) -> dict[str, str]:
    names = ("config.json", "result.json", "env.json", "inputs.json")
    config, result, env, inputs = (read_json(file) if (file := folder / name).is_file() else {} for name in names)
    data, test = config.get("data", {}), result.get("metrics", {}).get("test", {})
    stamps = inputs.get("files", {}).get("data.dir", ())
    state = ", ".join(f"{one['files']:,} files of {one['bytes']:,} bytes, state {one['sha256'][:8]}" for one in stamps)
    return {
        "the metric": result.get("metric", ""),
        "data": " ".join(filter(None, (data.get("source", ""), data.get("dir", ""), state and f"({state})"))),
        "the number of test examples": f"{test['examples']:,}" if test else "",
        "classes": inputs.get("classes", ""),
        "devices": env.get("devices", ""),
        **{f"the version of {name}": version for name, version in env.get("packages", {}).items()},
    }


def called(name: str, results: Sequence[Record]) -> str:
    """A row's name; for `auto` with the strategies that it chose: "auto (full)"."""
    chosen = dict.fromkeys(one["chosen_strategy"] for one in results if "chosen_strategy" in one)
    return f"{name} ({', '.join(chosen)})" if chosen else name


def markdown(summaries: Sequence[Record]) -> str:
    """The table for a README."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(cells(summary) for summary in summaries)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def save(summaries: list[Record], folder: Path) -> None:
    """Write table.md, table.json and table.png into `folder`."""
    make_folder(folder)
    write(folder / "table.md", markdown(summaries))
    write_json(folder / "table.json", summaries)
    figures.comparison(summaries, folder / "table.png")


def save_as(summaries: list[Record], file: Path) -> None:
    """Write the table as one file: .tex or .csv, or drawn, .png, .pdf or .svg.

    Raises:
      ConfigError: no such format.
    """
    if file.suffix in table_files.PICTURES:
        return figures.comparison(summaries, file)
    make_folder(file.parent)
    return table_files.save([COLUMNS, *(cells(summary) for summary in summaries)], file)


def _summary(name: str, results: Sequence[Record]) -> Record:
    metric = results[0]["metric"]
    values = [result["metrics"]["test"][metric] for result in results]
    train = [result["metrics"]["train"][metric] for result in results if "train" in result["metrics"]]
    return {
        "name": called(name, results),
        "metric": metric,
        "values": values,
        "mean": statistics.mean(values),
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "train": statistics.mean(train) if train else None,
        "seeds": [result["seed"] for result in results],
        "examples": results[0]["metrics"]["test"]["examples"],
        "seconds": statistics.mean(result["seconds"]["total"] for result in results),
        "trainable": results[0]["parameters"]["trainable"],
        "parameters": results[0]["parameters"]["total"],
    }


def _size(state: TrainState, groups: Groups) -> int:
    leaves = flatten(state.params)
    return sum(leaves[path].size for paths in groups.values() for path in paths)
