"""Weights & Biases: metrics over steps, the final numbers in the summary. $WANDB_PROJECT and $WANDB_MODE are used."""

import os
from collections.abc import Mapping
from typing import Any

from tljax.core.atomic import write
from tljax.core.untrusted import Json
from tljax.reporting.writer import About, final, named


class Wandb:
    """One run of Weights & Biases; a resumed run continues it."""

    def __init__(self, run: Any) -> None:
        self._run, self._code = run, 1

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """Metrics "train/loss" and so on."""
        self._run.log(named(part, values), step=step)

    def finish(self, result: Json) -> None:
        """Into the summary: they belong to the best step, and the log does not accept a step before its last."""
        for part, values in final(result).items():
            self._run.summary.update(named(part, values))
        self._code = 0

    def close(self) -> None:
        """End the run as finished or failed."""
        self._run.finish(exit_code=self._code)


def load() -> Any:
    """The package; ImportError if it is not installed."""
    import wandb  # pyright: ignore[reportMissingImports]

    return wandb


def start(about: About) -> Wandb:
    """A new run, or the one that wandb.id in the run folder names; its files lie in the run folder too."""
    wandb, id_file = load(), about.folder / "wandb.id"
    known = id_file.read_text(encoding="utf-8").strip() if id_file.exists() and about.step else None
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "tljax"),
        name=about.name,
        dir=str(about.folder),
        config=dict(about.config),
        id=known,
        resume="allow" if known else None,
    )
    write(id_file, run.id)
    return Wandb(run)
