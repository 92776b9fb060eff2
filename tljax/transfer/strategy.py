"""The protocols of a file in `strategies/`: a `Strategy` that `Plans` or `Chooses`. All others are optional.

Every function is pure, and `config` is `config.strategy`, with the file's own options (`core.options`). Networks, tasks
and the optimizer know nothing of strategies. `Method.of` (`transfer.method`) is the one place that asks by these types.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.modules import Plugin
from tljax.core.types import Batch, Json, NetworkSizes, Params, Phase, Rows, Tree

Facts = Json  # the facts that a strategy measured; they are saved as JSON


class Look(Protocol):
    """Access to the first training batches for a strategy's `look`: deterministic, at the initial parameters."""

    params: Params  # the initial parameters
    groups: Groups

    def gradients(self, batches: int) -> Params:
        """The gradient of the loss with respect to all parameters, the mean over `batches` batches."""
        ...

    def losses(self, batches: int) -> np.ndarray:
        """The loss of each of the first `batches` batches, (batches,)."""
        ...

    def features(self, batches: int) -> tuple[np.ndarray, np.ndarray]:
        """The head's input features for the first `batches` batches, (N, D), and their labels (N, ...)."""
        ...


class Strategy(Plugin, Protocol):
    """A file of `strategies/`; it is also `Plans`, `PlansByFacts` or `Chooses`."""

    @property
    def PRETRAINED(self) -> bool:  # noqa: N802 -- a constant of the file
        """Whether the network starts from the weights of the config."""
        ...


@runtime_checkable
class Plans(Protocol):
    """How fast each group learns, and when."""

    def plan(self, groups: Groups, config: ConfigDict) -> Sequence[Phase]:
        """The phases, in order; every one has a scale for every group. ConfigError where the groups do not fit."""
        ...


@runtime_checkable
class Chooses(Protocol):
    """Another strategy, from measured facts: `strategies/auto.py`. It also has CELLS and `condition`."""

    def choose(self, facts: Tree, config: ConfigDict) -> str:
        """A key of CELLS.

        Args:
          facts: a `transferability.Facts`.
        """
        ...


class PlansByFacts(Protocol):
    """It sees the first batches before it plans; the facts stand in the run folder, and a resumed run keeps to them."""

    def look(self, view: Look, config: ConfigDict) -> Facts:
        """What it must see: numbers, texts, and lists and dicts of them."""
        ...

    def plan(self, groups: Groups, config: ConfigDict, facts: Facts) -> Sequence[Phase]:
        """As of `Plans`."""
        ...


@runtime_checkable
class Looks(Protocol):
    """The `look` of `PlansByFacts`, whose `plan` is then given a third argument."""

    def look(self, view: Look, config: ConfigDict) -> Facts: ...


class Fit(Protocol):
    """A classifier that has been fitted."""

    scores: Callable[[np.ndarray], np.ndarray]  # features (N, D) -> (N, K), the largest one of the class predicted
    chosen: Json  # what was chosen on the training part
    accuracy: float | None  # of the choice, on examples that it was not fitted to; None: not known
    learned: int  # how many numbers were learned
    linear: tuple[np.ndarray, np.ndarray] | None  # kernel (D, K) and bias (K,) where it is linear


@runtime_checkable
class Fits(Protocol):
    """A classifier on the network's features instead of the training loop."""

    def fit(
        self, x: np.ndarray, y: np.ndarray, config: ConfigDict, *, seed: int, together: np.ndarray | None = None
    ) -> Fit:
        """Of the training part: features (N, D), labels (N,).

        Args:
          together: (N,) numbers what belongs together (`data.group`); None where nothing does.
        """
        ...


@runtime_checkable
class Refits(Protocol):
    """One whose classifiers need not be linear: such a one is not saved, but fitted again where the run is asked."""

    def refit(
        self, x: np.ndarray, y: np.ndarray, *, classifier: str, chosen: Json, seed: int
    ) -> Callable[[np.ndarray], np.ndarray]:
        """The scores of the classifier that `fit` chose, for the same `x` and `y`."""
        ...


@runtime_checkable
class Initializes(Protocol):
    """Other groups; parameters of its own beside "backbone" and "head", in groups of their own (`added_parameters`)."""

    def initialize(
        self, params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
    ) -> tuple[Params, Groups]:
        """Both as the run begins. Arrays or shapes that stand for them go in; ConfigError where they do not fit.

        Args:
          stages: of the backbone, input first.
        """
        ...


@runtime_checkable
class Changes(Protocol):
    """The network is given other parameters than those that learn."""

    def effective(self, params: Params, config: ConfigDict, rng: jax.Array | None = None) -> Params:
        """ "backbone" and "head" alone.

        Args:
          rng: a training step's key; None in evaluation.
        """
        ...


class Forward(NamedTuple):
    """A training batch in the network: what a strategy's own loss is computed from."""

    features: jax.Array  # (B, D), the head's input
    logits: jax.Array  # (B, K)
    batch: Batch  # "label" (B,), and what stands beside the examples
    task_loss: jax.Array  # ()
    phase: str  # the name of the phase
    axis: str | None  # of pmap, which holds the other examples of the batch; None under jit

    def whole(self, rows: jax.Array) -> jax.Array:
        """The rows of the whole batch, of all devices. The mean of the devices' gradients is then that of the batch."""
        return jax.lax.all_gather(rows, self.axis, tiled=True) if self.axis else rows


@runtime_checkable
class HasLoss(Protocol):
    """The loss of training is the strategy's own; evaluation keeps the task's. For classes, from one vector."""

    def loss(self, forward: Forward, config: ConfigDict) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(The loss, (); more values for the log, name -> ())."""
        ...


@runtime_checkable
class HasTeachers(Protocol):
    """A strategy with teachers: finished runs. Their outputs for the training examples are in the batches."""

    def teachers(self, config: ConfigDict) -> tuple[str, ...]:
        """The folders of the runs."""
        ...

    def answers(self, logits: Sequence[np.ndarray], features: Sequence[np.ndarray], config: ConfigDict) -> Rows:
        """What stands beside the examples: name -> (N, ...).

        Args:
          logits: of every teacher, (N, K), in the order of the run's classes.
          features: of every teacher, (N, D).
        """
        ...


@runtime_checkable
class Varies(Protocol):
    """The network has other sizes than its weights; the parameters that only the new sizes have begin random."""

    def variant(self, sizes: NetworkSizes, config: ConfigDict) -> NetworkSizes:
        """The sizes of the run's network.

        Args:
          sizes: those of the weights; ConfigError where they do not fit.
        """
        ...


@runtime_checkable
class Penalizes(Protocol):
    """The loss has a term of the parameters."""

    def penalty(self, params: Params, config: ConfigDict) -> jax.Array:
        """The term, ()."""
        ...
