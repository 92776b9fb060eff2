"""MLflow: metrics and the config's keys as parameters. $MLFLOW_TRACKING_URI and $MLFLOW_EXPERIMENT_NAME say where."""

import os
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tljax.core.atomic import write
from tljax.core.settings import as_flat
from tljax.core.untrusted import Json
from tljax.reporting.writer import About, final, named

LONGEST = 6000  # the most characters of a parameter's value in MLflow


class Mlflow:
    """One run of MLflow; a resumed run continues it."""

    def __init__(self, mlflow: ModuleType) -> None:
        self._mlflow, self._status = mlflow, "FAILED"

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """Metrics "train/loss" and so on; MLflow does not allow other signs in names."""
        metrics = {re.sub(r"[^\w\-. /]", "_", name): float(x) for name, x in named(part, values).items()}
        self._mlflow.log_metrics(metrics, step=step)

    def finish(self, result: Json) -> None:
        """Metrics "final test/accuracy" and so on."""
        for part, values in final(result).items():
            self.scalars(result["step"], part, values)
        self._status = "FINISHED"

    def close(self) -> None:
        """End the run as finished or failed."""
        self._mlflow.end_run(status=self._status)


def load() -> Any:
    """The package; ImportError if it is not installed."""
    import mlflow  # pyright: ignore[reportMissingImports]

    return mlflow


def start(about: About) -> Mlflow:
    """A new run, or the one that mlflow.id in the run folder names."""
    mlflow, id_file = load(), about.folder / "mlflow.id"
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "tljax"))
    known = id_file.read_text(encoding="utf-8").strip() if id_file.exists() and about.step else None
    run = mlflow.start_run(run_id=known, run_name=about.name)
    if known is None:
        write(id_file, run.info.run_id)
        mlflow.log_params({key: str(value)[:LONGEST] for key, value in as_flat(about.config).items()})
    return Mlflow(mlflow)
