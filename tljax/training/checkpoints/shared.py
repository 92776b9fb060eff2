"""Checkpoints of a run of several processes: process 0 reads and writes them, the others are told what it found."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tljax.core.processes import agreement
from tljax.training.checkpoints import checkpoint
from tljax.training.checkpoints.checkpoint import Checkpoints, Progress
from tljax.training.train_state import TrainState


class SharedCheckpoints(Checkpoints):
    """The same in every process. An error of process 0 ends all (`processes.ending`): nobody waits in vain."""

    def __init__(self, own: Checkpoints | None) -> None:
        """`own`: those of process 0; None in the others."""
        self._own = own

    def save(self, kind: str, state: TrainState, progress: Progress) -> None:
        if self._own:
            self._own.save(kind, state, progress)
        agreement.meet()  # on return it is on disk, for all

    def check_room(self, size: int, *, best: bool) -> None:
        agreement.told(lambda: self._first.check_room(size, best=best))

    def steps(self, kind: str) -> list[int]:
        return agreement.told(lambda: self._first.steps(kind))

    def restore(self, kind: str, template: Any) -> tuple[TrainState, Progress] | None:
        found = self._own.restore(kind, template) if self._own else None

        def what() -> tuple[int, dict[str, Any]] | None:
            return found and (int(found[0].step), dataclasses.asdict(found[1]))

        told = agreement.told(what)
        if told is None:
            return None
        step, progress = told
        state = found[0] if found else jax.tree.map(lambda x: np.zeros(np.shape(x), x.dtype), template(step))
        return agreement.copied(state), Progress(**progress)

    def forget(self, kind: str, after: int) -> None:
        if self._own:
            self._own.forget(kind, after)

    def close(self) -> None:
        if self._own:
            self._own.close()

    @property
    def _first(self) -> Checkpoints:
        assert self._own, "only process 0 is asked"
        return self._own


@contextlib.contextmanager
def opened(folder: Path, *, keep: int = 2) -> Iterator[Checkpoints]:
    """The checkpoints of a run, of one process or of several; closed at the end."""
    if agreement.count() == 1:
        with checkpoint.opened(folder, keep=keep) as own:
            yield own
    elif agreement.first():
        with checkpoint.opened(folder, keep=keep) as own:
            yield SharedCheckpoints(own)
    else:
        yield SharedCheckpoints(None)
