"""What `config.adaptation` does to training: features of a source and of an unlabelled target are brought together.

Unsupervised domain adaptation. Each step sees a batch of both (`pairs`), in one pass through the network, so that
BatchNorm's statistics are those of both. A file in `adaptation/` defines, pure functions of their own:
  term(source, target, params, weight, config) -> ((), {name: ()})
    a term of the loss from features (B, D) as the head is given them, float32, and what is logged of it;
  begin(width, config, *, seed) -> params
    parameters of its own, {} without it: "domain" beside "backbone" and "head", a group that learns in every phase.
Strategies, tasks and models know nothing of them.
"""

import dataclasses
from collections.abc import Sequence
from types import ModuleType

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

GROUP = "domain"


@dataclasses.dataclass(frozen=True)
class Alignment:
    """An adaptation's functions with its config; without one, training is as it is."""

    adaptation: ModuleType | None = None
    config: ConfigDict = dataclasses.field(default_factory=ConfigDict)  # config.adaptation

    @classmethod
    def of(cls, config: ConfigDict) -> "Alignment":
        """The one that `config.adaptation` names."""
        return cls(find("adaptation", config.name), config) if config.name else NONE

    def begin(self, made: Experiment, phases: Sequence[Phase], *, seed: int) -> tuple[Experiment, tuple[Phase, ...]]:
        """The experiment with the adaptation's own parameters and their group, which learns in every phase.

        Raises:
          ConfigError: features are not (B, D), nothing before the head learns, or a group is called "domain".
        """
        if self.adaptation is None:
            return made, tuple(phases)
        width = _width(made)
        _check_that_features_learn(made, phases, self.config.name)
        if not self.has_parameters:
            return made, tuple(phases)
        if GROUP in made.groups:
            raise ConfigError(f"{self.config.name} adds a group '{GROUP}'; give yours in config.groups another name.")
        own = self.adaptation.begin(width, self.config, seed=seed)
        variables = {**made.variables, "params": {**made.variables["params"], GROUP: own}}
        groups = {**made.groups, GROUP: tuple(f"{GROUP}/{path}" for path in flatten(own))}
        scale = self.config.classifier_scale
        phases = tuple(dataclasses.replace(phase, scales={**phase.scales, GROUP: scale}) for phase in phases)
        return dataclasses.replace(made, variables=variables, groups=groups), phases

    @property
    def has_parameters(self) -> bool:
        return hasattr(self.adaptation, "begin")

    def network(self, params: Params) -> Params:
        """Without the adaptation's own: what evaluation and model/ are given."""
        return {name: tree for name, tree in params.items() if name != GROUP} if self.has_parameters else params

    @property
    def method(self) -> str | None:
        """The method of `Network` whose output `__call__` takes."""
        return None if self.adaptation is None else "with_features"

    def inputs(self, batch: Batch) -> Batch:
        """A training batch as `prepare` takes it."""
        return batch if self.adaptation is None else paired_batches.flat(batch)

    def __call__(
        self, outputs: Tree, params: Params, progress: jax.Array, axis: str | None
    ) -> tuple[jax.Array, dict[str, jax.Array], dict[str, jax.Array]]:
        """What the network put out -> (logits of the source (B, K), the term of the loss by name, what is logged).

        Args:
          params: the run's own, with "domain" where there is one.
          progress: the share of the run that is done, () in [0, 1).
          axis: of pmap, over which features are gathered: statistics are those of the global batch there too.

        Raises:
          ConfigError: fewer than two examples of a domain.
        """
        if self.adaptation is None:
            return outputs, {}, {}
        features, logits = outputs
        features = features.astype(jnp.float32)  # (2B, D)
        if axis:  # its gradient sums over the devices, whose mean the step takes: the global batch's gradient
            features = lax.all_gather(features, axis, tiled=True)
        source, target = paired_batches.split(features)
        if len(source) < 2:
            raise ConfigError(
                f"{self.config.name} needs at least 2 examples of each domain at a time; got {len(source)}. "
                f"Raise config.train.batch_size, or lower config.optimizer.accumulate."
            )
        weight = self.config.weight * ramp(progress, self.config.ramp)
        term, logged = self.adaptation.term(source, target, params.get(GROUP, {}), weight, self.config)
        return paired_batches.split(logits)[0], {"adaptation": term}, logged


NONE = Alignment()


def ramp(progress: jax.Array, gamma: float) -> jax.Array:
    """2 / (1 + exp(-gamma p)) - 1, from 0 towards 1 (Ganin et al. 2016, section 5.2: gamma 10); for 0, always 1."""
    return 2 / (1 + jnp.exp(-gamma * progress)) - 1 if gamma else jnp.ones_like(progress)


def _width(made: Experiment) -> int:
    """D of the features (B, D) that the head is given."""
    batch = made.parts["train"].take(np.array([0])) | {"position": np.zeros(1, np.int32)}

    def features(variables: Variables) -> Tree:
        inputs = made.prepare(batch, jax.random.key(0), False)["inputs"]
        return made.network.apply(variables, inputs, method="features")

    shape = jax.tree.map(lambda x: x.shape, jax.eval_shape(features, made.variables))
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise ConfigError(
            f"config.adaptation needs one feature vector an example, (B, D), before the head; here it is {shape}. "
            f"Set config.adaptation.name to ''."
        )
    return shape[1]


def _check_that_features_learn(made: Experiment, phases: Sequence[Phase], name: str) -> None:
    learning = {group for phase in phases for group in phase.learning}
    if all(path.startswith("head/") for group in learning for path in made.groups[group]):
        raise ConfigError(
            f"config.adaptation.name={name} changes the features before the head, and nothing before the head learns: "
            f"it could do nothing. Choose a strategy that learns more (full, last_k, lora ...), or set it to ''."
        )
