"""Run folders made by hand, as finished runs leave them."""

import json
from pathlib import Path
from typing import Any


def result(accuracy: float, *, seed: int = 0, seconds: float = 2.0, **more: Any) -> dict[str, Any]:
    """The content of a result.json."""
    metrics = {"train": {"accuracy": 1.0, "examples": 10}, "test": {"accuracy": accuracy, "examples": 1000}}
    return {
        "metric": "accuracy",
        "metrics": metrics,
        "counts": {"train": 10, "test": 1000},
        "seed": seed,
        "strategy": "full",
        "step": 5,
        "parameters": {"total": 1234, "trainable": 34},
        "optimizer_bytes": 0,
        "step_bytes": 0,
        "seconds": {"compile": 0.5, "train": 1.0, "total": seconds},
    } | more


def write(folder: Path, config: dict[str, Any], found: dict[str, Any] | None) -> Path:
    """A run's folder; unfinished where nothing was found."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "env.json").write_text("{}")
    if found:
        (folder / "result.json").write_text(json.dumps(found))
    return folder
