"""Access to the first training batches, at the initial parameters, for a strategy that looks before it plans."""

import itertools
from collections.abc import Iterator

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import Groups
from tljax.core.types import Batch, Mode, Params
from tljax.data.batches import Training
from tljax.training import optimizer
from tljax.training.train_state import TrainState
from tljax.training.train_step import Objective, StepKeys


class FirstBatches:
    """A `transfer.method.Look` at the first batches of training, with the same augmentation and dropout.

    Everything learns, so BatchNorm uses the statistics of the batch. It is computed on one device, because it is short.
    """

    def __init__(self, experiment: Experiment, training: Training, task_config: ConfigDict, *, seed: int) -> None:
        self.params: Params = experiment.variables["params"]
        self.groups: Groups = experiment.groups
        self._experiment, self._training = experiment, training
        self._state = TrainState.create(experiment.variables, seed=seed)
        self._objective = Objective(
            experiment.network, experiment.task, experiment.prepare, Mode(train=True), task_config
        )

    def gradients(self, batches: int) -> Params:
        """The gradient of the loss with respect to all parameters, the mean over `batches` batches."""
        labels = optimizer.labels(self.groups, tuple(self.groups))
        learns, rest = optimizer.split(self.params, labels)

        @jax.jit
        def gradient(learns: Params, batch: Batch, step: int) -> Params:
            keys = StepKeys.of(self._state.replace(step=step), None)
            return self._objective.gradients(learns, rest, self._state.model_state, batch, keys)[0]

        total = None
        for step, batch in enumerate(self._batches(batches)):
            gradients = jax.tree.map(np.asarray, gradient(learns, batch, step))
            total = gradients if total is None else jax.tree.map(np.add, total, gradients)
        return jax.tree.map(lambda x: x / batches, total)

    def losses(self, batches: int) -> np.ndarray:
        """The loss of each of the first `batches` batches, (batches,)."""

        @jax.jit
        def loss(params: Params, batch: Batch, step: int) -> jax.Array:
            keys = StepKeys.of(self._state.replace(step=step), None)
            batch = self._objective.prepared(batch, keys)
            return self._objective.loss(params, self._state.model_state, batch, keys)[0]

        losses = [float(loss(self.params, batch, step)) for step, batch in enumerate(self._batches(batches))]
        return np.array(losses)

    def features(self, batches: int) -> tuple[np.ndarray, np.ndarray]:
        """The head's input features for the first `batches` batches, (N, D), in evaluation mode; and labels (N, ...).

        Raises:
          ConfigError: the head reads several stages.
        """
        experiment = self._experiment

        @jax.jit
        def features(variables: object, batch: Batch) -> tuple[jax.Array, jax.Array]:
            batch = experiment.prepare(batch, jax.random.key(0), False)
            return experiment.network.apply(variables, batch["inputs"], method="features"), batch["label"]

        if experiment.network.reads:
            raise ConfigError(
                "This strategy needs one feature vector for each example, but the head reads several stages."
            )
        rows = [jax.tree.map(np.asarray, features(experiment.variables, batch)) for batch in self._batches(batches)]
        return np.concatenate([row for row, _ in rows]), np.concatenate([labels for _, labels in rows])

    def _batches(self, number: int) -> Iterator[Batch]:
        return itertools.islice(self._training.stream(0, number), number)
