"""What a strategy does besides its plan: how the run's parameters become the network's, and what joins the loss.

A strategy's file may define, each a pure function of its own:
  begin(params, groups, config, *, stages, seed) -> (params, groups)
    other groups; parameters of its own beside "backbone" and "head", in groups of their own (`additions`);
  effective(params, config, rng=None) -> params
    what the network is given, "backbone" and "head" alone; `rng` is a training step's, None in evaluation;
  penalty(params, config) -> ()
    a term of the loss.
Models, tasks and the optimizer know nothing of them.
"""

import dataclasses
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax

from tljax.core import layer_groups, plugins
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import Groups
from tljax.core.types import Params


@dataclasses.dataclass(frozen=True)
class Method:
    """A strategy's functions with its config; a file that defines none changes nothing."""

    strategy: ModuleType | None = None
    config: Any = None  # config.strategy

    def begin(self, made: Experiment, *, seed: int) -> Experiment:
        """The experiment with the parameters that the run starts from, and their groups."""
        begin = getattr(self.strategy, "begin", None)
        if begin is None:
            return made
        params, groups = begin(made.variables["params"], made.groups, self.config, stages=made.stages, seed=seed)
        return dataclasses.replace(made, variables={**made.variables, "params": params}, groups=groups)

    def check(self, params: Params, groups: Groups, stages: Sequence[str]) -> None:
        """Raise ConfigError where the strategy does not fit these groups; one that chooses another has no plan yet."""
        begin, plan = (getattr(self.strategy, name, None) for name in ("begin", "plan"))
        if begin:
            _, groups = begin(params, groups, self.config, stages=stages, seed=0)
        layer_groups.check_moving(groups, self.config.moving_statistics)
        if plan:
            plan(groups, self.config)

    def named(self, asked: str) -> dict[str, str]:
        """For result.json: the strategy that the config asked for, and where that is `auto`, the one that it chose."""
        own = plugins.name(self.strategy) if self.strategy else asked
        return {"strategy": asked} | ({"chosen_strategy": own} if own != asked else {})

    @property
    def changes(self) -> bool:
        """Whether the network is given anything but the run's own parameters."""
        return hasattr(self.strategy, "effective")

    def effective(self, params: Params, rng: jax.Array | None = None) -> Params:
        """What the network is given: {"backbone": ..., "head": ...}."""
        effective = getattr(self.strategy, "effective", None)
        return effective(params, self.config, rng) if effective else params

    def penalty(self, params: Params) -> dict[str, jax.Array]:
        """{"penalty": ()}, a term of the loss, or {} where there is none."""
        penalty = getattr(self.strategy, "penalty", None)
        return {"penalty": penalty(params, self.config)} if penalty else {}


PLAIN = Method()
