"""A strategy with its config: its plan, and its changes to parameters and the loss.

A strategy's file has `PRETRAINED` (whether the network starts from pretrained weights), and one of
  plan(groups, config) -> phases                         how fast each group learns, and when
  choose(facts, config) -> a key of CELLS                another strategy, from measured facts (`strategies/auto.py`)
It may also define these pure functions:
  look(view, config) -> facts                            facts from the first batches (`Look`);
                                                         the plan is then plan(groups, config, facts)
  fit(features, labels, config, *, seed, together) -> Fitted
    a classifier, instead of the training loop; `together` numbers what belongs together (`data.group`), or None
  begin(params, groups, config, *, stages, seed) -> (params, groups)
    other groups, or more parameters beside "backbone" and "head", in separate groups (`added_parameters`)
  effective(params, config, rng=None) -> params
    the network's parameters, only "backbone" and "head"; `rng` is that of a training step, None in evaluation
  penalty(params, config) -> ()                          a term of the loss
  OPTIONS                                                its keys of the config (`core.options`)
Networks, tasks and the optimizer do not know of strategies.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups, plugins
from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import Groups
from tljax.core.types import Params, Phase

Facts = Mapping[str, Any]  # the facts that a strategy measured; they are saved as JSON


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


Plan = Callable[..., Sequence[Phase]]


@dataclasses.dataclass(frozen=True)
class Method:
    """A strategy's functions with its config; a function that it does not define is None."""

    name: str = ""
    config: ConfigDict = dataclasses.field(default_factory=ConfigDict)  # config.strategy
    pretrained: bool = False
    plans: Plan | None = None
    chooses: Callable[..., str] | None = None
    looks: Callable[[Look, Any], Facts] | None = None
    fits: Callable[..., Any] | None = None
    begins: Callable[..., tuple[Params, Groups]] | None = None
    changes: Callable[..., Params] | None = None
    penalizes: Callable[..., jax.Array] | None = None

    @classmethod
    def of(cls, strategy: ModuleType, config: ConfigDict) -> "Method":
        """The functions of a strategy's file; only this place looks for them.

        Raises:
          ConfigError: the file has no PRETRAINED, or not exactly one of `plan` and `choose`.
        """
        names = ("plan", "choose", "look", "fit", "begin", "effective", "penalty")
        found = {name: getattr(strategy, name, None) for name in names}
        own = plugins.name(strategy)
        if not isinstance(getattr(strategy, "PRETRAINED", None), bool) or bool(found["plan"]) == bool(found["choose"]):
            raise ConfigError(
                f"The strategy '{own}' must have PRETRAINED, True or False, and plan(groups, config) or "
                f"choose(facts, config); it has {', '.join(n for n in names if found[n]) or 'none'} "
                f"({strategy.__file__})."
            )
        return cls(
            own,
            config,
            strategy.PRETRAINED,
            plans=found["plan"],
            chooses=found["choose"],
            looks=found["look"],
            fits=found["fit"],
            begins=found["begin"],
            changes=found["effective"],
            penalizes=found["penalty"],
        )

    def plan(self, groups: Groups, facts: Facts | None = None) -> tuple[Phase, ...]:
        """The phases of the run.

        Args:
          facts: the result of its `look`; None if it has none.
        """
        if self.plans is None:
            raise TypeError(f"'{self.name}' chooses a strategy and has no plan of its own")
        return tuple(self.plans(groups, self.config) if facts is None else self.plans(groups, self.config, facts))

    def begin(self, made: Experiment, *, seed: int) -> Experiment:
        """The experiment with the run's initial parameters and their groups."""
        if self.begins is None:
            return made
        params, groups = self.begins(made.variables["params"], made.groups, self.config, stages=made.stages, seed=seed)
        return dataclasses.replace(made, variables={**made.variables, "params": params}, groups=groups)

    def check(self, params: Params, groups: Groups, stages: Sequence[str]) -> None:
        """Raise ConfigError if the strategy does not fit these groups, as far as this is known before `look`."""
        if self.begins:
            _, groups = self.begins(params, groups, self.config, stages=stages, seed=0)
        layer_groups.check_moving(groups, self.config.moving_statistics)
        if self.plans and not self.looks:
            self.plan(groups)

    def named(self, asked: str) -> dict[str, str]:
        """For result.json: the strategy in the config, and for `auto` the strategy that it chose."""
        return {"strategy": asked} | ({"chosen_strategy": self.name} if self.name not in ("", asked) else {})

    def effective(self, params: Params, rng: jax.Array | None = None) -> Params:
        """The network's parameters: {"backbone": ..., "head": ...}."""
        return self.changes(params, self.config, rng) if self.changes else params

    def penalty(self, params: Params) -> dict[str, jax.Array]:
        """{"penalty": ()}, a term of the loss; {} if the strategy has none."""
        return {"penalty": self.penalizes(params, self.config)} if self.penalizes else {}


PLAIN = Method()
