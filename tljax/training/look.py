"""What a strategy may see of a run before it plans: the first training batches, at the initial parameters."""

import itertools
from collections.abc import Iterator

import jax
import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import Groups
from tljax.core.types import Batch, Mode, Params
from tljax.data.batches import Training
from tljax.training import optimizer
from tljax.training.train_state import TrainState
from tljax.training.train_step import Moment, Objective


class FirstBatches:
    """A `transfer.method.Look` on the batches that training will begin with, augmentation and dropout as there.

    Everything learns, so BatchNorm runs on the statistics of the batch. Computed on one device: a look is short.
    """

    def __init__(self, experiment: Experiment, training: Training, task_config: object, *, seed: int) -> None:
        self.params: Params = experiment.variables["params"]
        self.groups: Groups = experiment.groups
        self._experiment, self._training = experiment, training
        self._state = TrainState.create(experiment.variables, seed=seed)
        self._objective = Objective(
            experiment.network, experiment.task, experiment.prepare, Mode(train=True), task_config
        )

    def gradients(self, batches: int) -> Params:
        """The loss's gradient with respect to all parameters, mean over so many batches."""
        labels = optimizer.labels(self.groups, tuple(self.groups))
        learns, rest = optimizer.split(self.params, labels)

        @jax.jit
        def gradient(learns: Params, batch: Batch, step: int) -> Params:
            moment = Moment.of(self._state.replace(step=step), None)
            return self._objective.gradients(learns, rest, self._state.model_state, batch, moment)[0]

        total = None
        for step, batch in enumerate(self._batches(batches)):
            found = jax.tree.map(np.asarray, gradient(learns, batch, step))
            total = found if total is None else jax.tree.map(np.add, total, found)
        return jax.tree.map(lambda x: x / batches, total)

    def losses(self, batches: int) -> np.ndarray:
        """The loss of each of so many batches, (batches,)."""

        @jax.jit
        def loss(params: Params, batch: Batch, step: int) -> jax.Array:
            moment = Moment.of(self._state.replace(step=step), None)
            batch = self._objective.prepared(batch, moment)
            return self._objective.loss(params, self._state.model_state, batch, moment)[0]

        found = [float(loss(self.params, batch, step)) for step, batch in enumerate(self._batches(batches))]
        return np.array(found)

    def features(self, batches: int) -> tuple[np.ndarray, np.ndarray]:
        """What the head is given of so many batches, (N, D), and their labels (N, ...): as evaluation sees them.

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
                "This strategy looks at one feature vector an example, and the head reads several stages."
            )
        rows = [jax.tree.map(np.asarray, features(experiment.variables, batch)) for batch in self._batches(batches)]
        return np.concatenate([row for row, _ in rows]), np.concatenate([labels for _, labels in rows])

    def _batches(self, number: int) -> Iterator[Batch]:
        return itertools.islice(self._training.stream(0, number), number)
