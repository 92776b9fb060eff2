"""Checkpoints: latest and best in separate folders, written atomically by orbax, checked against checksums."""

import contextlib
import dataclasses
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from tljax import __version__
from tljax.core.atomic import make_folder
from tljax.core.errors import ConfigError, WeightsError
from tljax.core.processes import agreement
from tljax.core.quiet import quiet
from tljax.core.remote import mirror
from tljax.core.types import Record, Tree
from tljax.training.checkpoints import checksums
from tljax.training.sharding import Layout
from tljax.training.train_state import TrainState


@dataclasses.dataclass
class Progress:
    """The loop's own values; they are saved with the state."""

    best: float = float("-inf")  # the best score so far, by which the epoch is chosen
    best_step: int = -1
    since_best: int = 0  # number of evaluations since the best
    seconds: float = 0.0  # of training so far, over all starts of this run
    stopped: bool = False  # early stopping has ended training
    owed: bool = False  # an evaluation was due at this step, but a signal came before it
    step_bytes: int = 0  # memory of the largest training step so far (`memory.Plan`)
    tokens: int = 0  # tokens in training so far, for texts
    places: int = 0  # these tokens and their padding
    oracle: dict[str, Record] = dataclasses.field(default_factory=dict)  # target -> its best metric, and "step"
    ran_away: int = 0  # the last step before the training loss ran away; 0: it has not


class Checkpoints:
    """The folder `checkpoints/` of a run: `latest/` (the last `keep`) and `best/` (one)."""

    def __init__(self, folder: Path, *, keep: int = 2, layout: Layout | None = None) -> None:
        """`layout`: where the parts of a restored state lie; None: all of it on the host."""
        self._folder_of_all, self._keep, self._layout = folder, {"latest": keep, "best": 1}, layout
        self._managers = {kind: _manager(folder / kind, all_write=layout is not None) for kind in self._keep}

    def save(self, kind: str, state: TrainState, progress: Progress) -> None:
        """Write `state` (`Parallel.to_save`) as "latest" or "best". When this returns, the whole checkpoint is on disk.

        The last `keep` are kept, and the last one from before the loss ran away (`Progress.ran_away`).

        Raises:
          WeightsError: it cannot be written; earlier checkpoints are untouched.
        """
        leaves, step = _named(state), int(state.step)
        note = {"progress": dataclasses.asdict(progress), "leaves": _shapes(leaves), "tljax": __version__}
        manager = self._managers[kind]
        if step in manager.all_steps():
            if not self._trouble(kind, step):
                return
            manager.delete(step)
        arrays = {name: leaf for name, leaf in leaves.items() if np.size(leaf)}  # orbax cannot save empty arrays
        args = ocp.args.Composite(state=ocp.args.PyTreeSave(arrays), note=ocp.args.JsonSave(note))
        try:
            with quiet():
                manager.save(step, args=args)
                manager.wait_until_finished()
            self._seal(kind, step)
        except (ConfigError, OSError, ValueError) as error:
            shutil.rmtree(self._folder(kind, step), ignore_errors=True)  # half of it would take the room
            raise WeightsError(
                f"The checkpoint at step {step} could not be written to '{manager.directory}': "
                f"{str(error).splitlines()[0]}. "
                f"Make room and start the same command again; it continues from the last whole checkpoint."
            ) from error
        sound = [step for step in self.steps(kind) if step <= progress.ran_away][-1:]
        for old in self.steps(kind)[: -self._keep[kind]]:  # only now, when the new one is whole
            if old not in sound:  # where the loss has run away, the last one from before stays
                manager.delete(old)
        mirror.push(self._folder_of_all)

    def check_room(self, size: int, *, best: bool) -> None:
        """Raise WeightsError if the disk has no room for the checkpoints that will exist together, each `size` bytes.

        Args:
          best: whether the best checkpoint is kept besides the latest ones.
        """
        missing = max(0, self._keep["latest"] - len(self.steps("latest"))) + (best and not self.steps("best"))
        needed = (missing + 1) * size  # one more: an old one is deleted only when the new one is whole
        if (free := shutil.disk_usage(self._folder_of_all).free) < needed:
            raise WeightsError(
                f"The disk of '{self._folder_of_all}' must have room for the checkpoints: {missing + 1} of "
                f"{size / 2**20:,.1f} MiB; {free / 2**20:,.1f} MiB are free. Make room, choose another --workdir, or "
                f"lower config.train.keep_checkpoints."
            )

    def steps(self, kind: str) -> list[int]:
        return sorted(self._managers[kind].all_steps())

    def restore(self, kind: str, template: Tree) -> tuple[TrainState, Progress] | None:
        """The newest whole checkpoint, or None if there is none.

        An incomplete checkpoint (after a kill) is ignored. A damaged one is reported and deleted, and the one before it
        is used.

        Args:
          template: step -> a state with the structure, shapes and dtypes of the state at that step.

        Raises:
          WeightsError: there are checkpoints, but every one is damaged or belongs to another network.
        """
        failures = []
        self._drop_cut_off(kind)
        for step in reversed(self.steps(kind)):
            try:
                restored = self._read(kind, step, template(step))
            except WeightsError as error:
                failures.append((step, f"step {step}: {str(error).splitlines()[0]}"))
                continue
            for damaged, fault in failures:
                warnings.warn(f"A damaged checkpoint is left out, the one before it is used: {fault}", stacklevel=2)
                self._managers[kind].delete(damaged)
            return restored
        if failures:
            raise WeightsError(
                f"No checkpoint in '{self._managers[kind].directory}' can be restored:\n  "
                + "\n  ".join(fault for _, fault in failures)
                + "\nStart in another folder (--workdir), or remove this one."
            )
        return None

    def forget(self, kind: str, after: int) -> None:
        """Delete the checkpoints of steps later than `after`: a resumed run will write them again."""
        for step in self.steps(kind):
            if step > after:
                self._managers[kind].delete(step)

    def close(self) -> None:
        for manager in self._managers.values():
            manager.close()

    def _folder(self, kind: str, step: int) -> Path:
        return Path(self._managers[kind].directory) / str(step)

    def _seal(self, kind: str, step: int) -> None:
        checksums.seal(self._folder(kind, step))

    def _sealed(self, kind: str, step: int) -> bool:
        return checksums.sealed(self._folder(kind, step))

    def _trouble(self, kind: str, step: int) -> str:
        return checksums.trouble(self._folder(kind, step))

    def _drop_cut_off(self, kind: str) -> None:
        for step in self.steps(kind):
            if not self._sealed(kind, step):
                warnings.warn(f"The {kind} checkpoint at step {step} is incomplete, and is left out.", stacklevel=3)
                self._managers[kind].delete(step)

    def _read(self, kind: str, step: int, template: TrainState) -> tuple[TrainState, Progress]:
        # Orbax restores a flipped bit silently, and its error for a truncated file does not help the user.
        if trouble := self._trouble(kind, step):
            raise WeightsError(trouble)
        expected = _named(template)
        manager = self._managers[kind]
        note = manager.restore(step, args=ocp.args.Composite(note=ocp.args.JsonRestore()))["note"]
        writer, shapes = note.get("tljax", "0"), _shapes(expected)
        if _numbers(writer) > _numbers(__version__):
            raise WeightsError(f"it was written by tljax {writer}, and this is {__version__}: install that one")
        if note["leaves"] != shapes:
            saved = note["leaves"]
            other = [
                f"{k}: {saved.get(k)}, not {shapes.get(k)}" for k in saved | shapes if saved.get(k) != shapes.get(k)
            ]
            raise WeightsError(f"it is of another network or optimizer (tljax {writer}): {'; '.join(other[:10])}")
        arrays = self._arrays(kind, step, template)
        leaves = [arrays.get(name, np.zeros(np.shape(x), x.dtype)) for name, x in expected.items()]
        return jax.tree.unflatten(jax.tree.structure(template), leaves), Progress(**note["progress"])

    def _arrays(self, kind: str, step: int, template: TrainState) -> dict[str, Tree]:
        """Name -> array: as numpy, or with each part on the device that the layout says."""
        where = _named(self._layout.of(template)) if self._layout else {}
        abstract = {
            name: jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=where.get(name))
            for name, x in _named(template).items()
            if np.size(x)
        }
        restore_args = ocp.checkpoint_utils.construct_restore_args(abstract)
        args = ocp.args.Composite(state=ocp.args.PyTreeRestore(abstract, restore_args=restore_args))
        arrays = self._managers[kind].restore(step, args=args)["state"]
        return arrays if self._layout else {name: np.array(x) for name, x in arrays.items()}


def _numbers(version: str) -> list[int]:
    """[0, 12] of "0.12.dev3"."""
    return [int(part) for part in version.split(".") if part.isdigit()]


@contextlib.contextmanager
def opened(folder: Path, *, keep: int = 2, layout: Layout | None = None) -> Iterator[Checkpoints]:
    """`Checkpoints` that are closed at the end."""
    checkpoints = Checkpoints(folder, keep=keep, layout=layout)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def _manager(folder: Path, *, all_write: bool) -> ocp.CheckpointManager:
    make_folder(folder)
    # Where one of several processes writes (`shared`), orbax must not wait for the others.
    active = {0} if agreement.count() > 1 and not all_write else None
    options = ocp.CheckpointManagerOptions(
        max_to_keep=None,  # else orbax deletes the old one before the new one's checksums are written
        create=False,
        cleanup_tmp_directories=True,  # half-written folders of killed processes
        enable_async_checkpointing=False,  # an async save reports a full disk one save too late
        multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=0, active_processes=active),
    )
    plain = ocp.PyTreeCheckpointHandler(  # weights hardly shrink, and compressing them takes processor time
        use_compression=False, multiprocessing_options=options.multiprocessing_options
    )
    handlers = {"state": plain, "note": ocp.JsonCheckpointHandler()}
    return ocp.CheckpointManager(folder.absolute(), options=options, item_handlers=handlers)


def _named(tree: Tree) -> dict[str, Tree]:
    """Dotted path -> leaf: so orbax does not need optax's state classes."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {".".join(_part(key) for key in path): leaf for path, leaf in leaves}


def _part(key: object) -> str:
    part = str(next(getattr(key, field) for field in ("key", "name", "idx") if hasattr(key, field)))
    # Escape characters with a meaning in our names or in paths, so that two leaves never get the same name.
    return part.replace("%", "%25").replace(".", "%2E").replace("/", "%2F")


def _shapes(leaves: dict[str, Tree]) -> dict[str, str]:
    """Name -> "float32[3, 4]": this must agree before any array is read."""
    return {name: f"{leaf.dtype}{list(np.shape(leaf))}" for name, leaf in leaves.items()}
