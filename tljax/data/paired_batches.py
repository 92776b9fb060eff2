"""A batch of the labelled source and a batch of the unlabelled target, joined; without the target's labels.

Every input of the network is (B, 2, ...): first an example of the source, then one of the target. Labels and their
weights are those of the source, (B,). So every device and every micro-batch has equally many examples of both domains.
"""

from collections.abc import Iterator

import jax
import numpy as np

from tljax.core.types import Batch
from tljax.data.batches import Examples, Training, ahead

OF_LABELS = ("label", "weight")  # the entries of a batch about labels
OTHER_SEED = 2**31  # above every seed: the target must not have the source's order, both may be sorted by class


class Paired:
    """Replaces `Training`: an epoch is one of the source; the target has its own shuffled epochs."""

    def __init__(self, source: Training, target: Examples) -> None:
        self.source = source
        seed = source.seed + OTHER_SEED
        self.target = Training(target, batch_size=source.batch_size, seed=seed, share=source.share)

    @property
    def parts(self) -> tuple[Examples, ...]:
        return *self.source.parts, *self.target.parts

    def __call__(self, step: int) -> Batch:
        """The batch at `step`; "position" of the source's examples is the same as without a target."""
        source, target = self.source(step), self.target(step)
        target["position"] = target["position"] + self.source.batch_size
        labels = {name: x for name, x in source.items() if name in OF_LABELS}
        return {name: _pair(x, target[name]) for name, x in source.items() if name not in OF_LABELS} | labels

    def steps(self, epochs: float) -> int:
        return self.source.steps(epochs)

    @property
    def steps_to_all(self) -> int:
        return self.source.steps_to_all

    def stream(self, start: int, stop: int) -> Iterator[Batch]:
        return ahead(self, range(start, stop), threads=not all(part.in_memory for part in self.parts))


def flat(batch: Batch) -> Batch:
    """The batch for `prepare`: all entries (2B, ...), except labels and their weights (B,)."""
    return {name: x if name in OF_LABELS else x.reshape(-1, *x.shape[2:]) for name, x in batch.items()}


def split(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(2B, ...) -> the source's and the target's (B, ...)."""
    both = x.reshape(-1, 2, *x.shape[1:])
    return both[:, 0], both[:, 1]


def _pair(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Two (B, ...) -> (B, 2, ...); if tokens differ in length, the shorter is padded with 0, which is masked."""
    if source.shape[1:2] != target.shape[1:2]:
        longest = max(source.shape[1], target.shape[1])
        source, target = (_filled(x, longest) for x in (source, target))
    return np.stack([source, target], axis=1)


def _filled(x: np.ndarray, length: int) -> np.ndarray:
    fill: list[tuple[int, int]] = [(0, 0)] * x.ndim
    fill[1] = (0, length - x.shape[1])
    return np.pad(x, fill)
