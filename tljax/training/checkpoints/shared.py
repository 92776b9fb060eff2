"""Checkpoints of several processes: process 0 reads and writes and tells the others; a divided state is of all."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tljax.core.atomic import make_folder
from tljax.core.errors import ConfigError
from tljax.core.processes import agreement
from tljax.core.remote import mirror
from tljax.training.checkpoints import checkpoint
from tljax.training.checkpoints.checkpoint import Checkpoints, Progress
from tljax.training.sharding import Layout
from tljax.training.train_state import TrainState


class SharedCheckpoints(Checkpoints):
    """Checkpoints that only process 0 writes, with the same result in every process. Its error ends all processes
    (`processes.ending`), so none waits for ever.
    """

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
        restored = self._own.restore(kind, template) if self._own else None

        def what() -> tuple[int, dict[str, Any]] | None:
            return restored and (int(restored[0].step), dataclasses.asdict(restored[1]))

        newest = agreement.told(what)
        if newest is None:
            return None
        step, progress = newest
        state = restored[0] if restored else jax.tree.map(lambda x: np.zeros(np.shape(x), x.dtype), template(step))
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


class DividedCheckpoints(Checkpoints):
    """Each process writes and reads its parts of a divided state (FSDP). Process 0 seals and checks for all."""

    def check_room(self, size: int, *, best: bool) -> None:
        agreement.told(lambda: super(DividedCheckpoints, self).check_room(size, best=best))

    def _seal(self, kind: str, step: int) -> None:
        agreement.told(lambda: super(DividedCheckpoints, self)._seal(kind, step))

    def _sealed(self, kind: str, step: int) -> bool:
        return agreement.told(lambda: super(DividedCheckpoints, self)._sealed(kind, step))

    def _trouble(self, kind: str, step: int) -> str:
        return agreement.told(lambda: super(DividedCheckpoints, self)._trouble(kind, step))


@contextlib.contextmanager
def opened(folder: Path, *, keep: int = 2, layout: Layout | None = None) -> Iterator[Checkpoints]:
    """The checkpoints of a run, of one process or of several; closed at the end.

    Args:
      layout: of a divided state: then all processes write, into the same folder.

    Raises:
      ConfigError: the layout is given, and a process does not see the folder.
    """
    if agreement.count() == 1:
        with checkpoint.opened(folder, keep=keep, layout=layout) as own:
            yield own
    elif layout:
        _check_all_see(folder)
        with contextlib.closing(DividedCheckpoints(folder, keep=keep, layout=layout)) as all_of_them:
            yield all_of_them
    elif agreement.first():
        with checkpoint.opened(folder, keep=keep) as own:
            yield SharedCheckpoints(own)
    else:
        yield SharedCheckpoints(None)


def _check_all_see(folder: Path) -> None:
    if any(agreement.gathered(mirror.is_mirrored(folder))):
        raise ConfigError(
            "With config.mesh.fsdp above 1 every process writes its part of a checkpoint into one folder, and an "
            "object store has none: name a --workdir on a disk that all machines share (a mounted bucket is one)."
        )
    agreement.told(lambda: make_folder(folder))
    blind = [index for index, sees in enumerate(agreement.gathered(folder.is_dir())) if not sees]
    if blind:
        raise ConfigError(
            f"With config.mesh.fsdp above 1 every process writes its part of a checkpoint: all must see '{folder}'; "
            f"processes {blind} do not. Name a --workdir on a disk that all machines share."
        )
