"""Unsupervised domain adaptation (`config.adaptation`): align a source and an unlabelled target.

Each step takes a batch of both (`paired_batches`) in one pass through the network, so BatchNorm's statistics are over
both; unless the adaptation only changes the statistics of evaluation. A file in `adaptation/` is an `Adaptation`.
Strategies, tasks and models do not know of adaptations.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.trees import flatten
from tljax.core.types import Batch, Params, Phase, Tree, Variables
from tljax.data import paired_batches
from tljax.transfer.adaptation import Adaptation, Aligns, HasParameters

GROUP = "domain"


@dataclasses.dataclass(frozen=True)
class Alignment:
    """An adaptation's functions with its config; without an adaptation, training does not change."""

    adaptation: Adaptation | None = None
    config: ConfigDict = dataclasses.field(default_factory=ConfigDict)  # config.adaptation

    @classmethod
    def of(cls, config: ConfigDict) -> "Alignment":
        """The adaptation that `config.adaptation` names.

        Raises:
          ConfigError: it has neither a term nor statistics.
        """
        if not config.name:
            return NONE
        one = cls(find("adaptation", config.name), config)
        if one.pairs == one.measures or one.uses not in ("features", "logits", "statistics"):
            raise ConfigError(
                f"An adaptation must have USES = 'features' or 'logits' and `term`, or USES = 'statistics' and no "
                f"`term`; {config.name} has USES = {one.uses!r} and {'a' if one.pairs else 'no'} `term`."
            )
        return one

    @property
    def uses(self) -> str:
        """What it uses of the target; "" without an adaptation."""
        return getattr(self.adaptation, "USES", "")

    @property
    def pairs(self) -> bool:
        """Whether each step takes a batch of both domains."""
        return isinstance(self.adaptation, Aligns)

    @property
    def measures(self) -> bool:
        """Whether evaluation has BatchNorm statistics of the unlabelled examples."""
        return self.uses == "statistics"

    def initialize(
        self, experiment: Experiment, phases: Sequence[Phase], *, seed: int
    ) -> tuple[Experiment, tuple[Phase, ...]]:
        """The experiment with the adaptation's own parameters and their group, which learns in every phase.

        Raises:
          ConfigError: features are not (B, D); nothing before the head learns; a group is called "domain"; or the
            adaptation measures BatchNorm statistics and the network has no BatchNorm.
        """
        if self.measures and not experiment.variables.get("batch_stats"):
            raise ConfigError(
                f"config.adaptation.name={self.config.name} measures BatchNorm statistics, and this network has no "
                f"BatchNorm. Choose another adaptation (mcc, dann, coral, mmd), or another config.model.family."
            )
        if self.uses != "features":
            return experiment, tuple(phases)
        width = _width(experiment)
        _check_that_features_learn(experiment, phases, self.config.name)
        if not isinstance(self.adaptation, HasParameters):
            return experiment, tuple(phases)
        if GROUP in experiment.groups:
            raise ConfigError(f"{self.config.name} adds a group '{GROUP}'; give yours in config.groups another name.")
        own = self.adaptation.initialize(width, self.config, seed=seed)
        variables = {**experiment.variables, "params": {**experiment.variables["params"], GROUP: own}}
        groups = {**experiment.groups, GROUP: tuple(f"{GROUP}/{path}" for path in flatten(own))}
        scale = self.config.classifier_scale
        phases = tuple(dataclasses.replace(phase, scales={**phase.scales, GROUP: scale}) for phase in phases)
        return dataclasses.replace(experiment, variables=variables, groups=groups), phases

    @property
    def has_parameters(self) -> bool:
        return isinstance(self.adaptation, HasParameters)

    def network(self, params: Params) -> Params:
        """The parameters without the adaptation's own, for evaluation and model/."""
        return {name: tree for name, tree in params.items() if name != GROUP} if self.has_parameters else params

    @property
    def method(self) -> str | None:
        """The name of the method of `Network` whose output is the argument of `__call__`."""
        return "with_features" if self.pairs else None

    def inputs(self, batch: Batch) -> Batch:
        """A training batch for `prepare`."""
        return paired_batches.flat(batch) if self.pairs else batch

    def __call__(
        self, outputs: Tree, params: Params, progress: jax.Array, axis: str | None
    ) -> tuple[jax.Array, dict[str, jax.Array], dict[str, jax.Array]]:
        """The network's output -> (logits of the source (B, K), {name: term of the loss}, values for the log).

        Args:
          params: the run's parameters, with "domain" if the adaptation has parameters.
          progress: the share of the run that is done, () in [0, 1).
          axis: the pmap axis over which outputs are gathered, so that statistics are over the global batch.

        Raises:
          ConfigError: fewer than two examples of a domain.
        """
        if not isinstance(self.adaptation, Aligns):
            return outputs, {}, {}
        features, logits = outputs
        both = (logits if self.uses == "logits" else features).astype(jnp.float32)  # (2B, D) or (2B, K)
        if axis:  # its gradient is a sum over devices, and the step takes their mean: the global gradient
            both = lax.all_gather(both, axis, tiled=True)
        source, target = paired_batches.split(both)
        if len(source) < 2:
            raise ConfigError(
                f"{self.config.name} needs at least 2 examples of each domain in a batch; got {len(source)}. "
                f"Raise config.train.batch_size, or lower config.optimizer.accumulate."
            )
        weight = self.config.weight * ramp(progress, self.config.ramp)
        term, logged = self.adaptation.term(source, target, params.get(GROUP, {}), weight, self.config)
        return paired_batches.split(logits)[0], {"adaptation": term}, logged


NONE = Alignment()


def ramp(progress: jax.Array, gamma: float) -> jax.Array:
    """2 / (1 + exp(-gamma p)) - 1, from 0 towards 1 (Ganin et al. 2016, section 5.2: gamma 10); for 0, always 1."""
    return 2 / (1 + jnp.exp(-gamma * progress)) - 1 if gamma else jnp.ones_like(progress)


def _width(experiment: Experiment) -> int:
    """D of the head's input features (B, D)."""
    batch = experiment.parts["train"].take(np.array([0])) | {"position": np.zeros(1, np.int32)}

    def features(variables: Variables) -> Tree:
        inputs = experiment.prepare(batch, jax.random.key(0), False)["inputs"]
        return experiment.network.apply(variables, inputs, method="features")

    shape = jax.tree.map(lambda x: x.shape, jax.eval_shape(features, experiment.variables))
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise ConfigError(
            f"config.adaptation needs one feature vector for each example, (B, D), before the head; got {shape}. "
            f"Set config.adaptation.name to ''."
        )
    return shape[1]


def _check_that_features_learn(experiment: Experiment, phases: Sequence[Phase], name: str) -> None:
    learning = {group for phase in phases for group in phase.learning}
    if all(path.startswith("head/") for group in learning for path in experiment.groups[group]):
        raise ConfigError(
            f"config.adaptation.name={name} changes the features before the head, but no group before the head "
            f"learns. Choose a strategy that learns more (full, last_k, lora ...), or set it to ''."
        )
