"""A strategy with its config: its plan, and its changes to parameters and the loss.

The protocols of a strategy's file stand in `transfer.strategy`.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
from ml_collections import ConfigDict

from tljax.core import layer_groups, plugins
from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import Groups
from tljax.core.types import NetworkSizes, Params, Phase
from tljax.transfer.strategy import (
    Changes,
    Chooses,
    Facts,
    Fit,
    Fits,
    Forward,
    HasLoss,
    HasTeachers,
    Initializes,
    Look,
    Looks,
    Penalizes,
    Plans,
    Strategy,
    Varies,
)

Plan = Callable[..., Sequence[Phase]]  # (groups, config), and facts where it looks
NAMES = ("plan", "choose", "look", "fit", "initialize", "effective", "penalty", "variant", "loss")


@dataclasses.dataclass(frozen=True)
class Method:
    """A strategy's functions with its config; a function that it does not define is None."""

    name: str = ""
    config: ConfigDict = dataclasses.field(default_factory=ConfigDict)  # config.strategy
    pretrained: bool = False
    plans: Plan | None = None
    chooses: Callable[..., str] | None = None
    looks: Callable[[Look, ConfigDict], Facts] | None = None
    fits: Callable[..., Fit] | None = None
    initializes: Callable[..., tuple[Params, Groups]] | None = None
    changes: Callable[..., Params] | None = None
    penalizes: Callable[..., jax.Array] | None = None
    varies: Callable[[NetworkSizes, ConfigDict], NetworkSizes] | None = None
    losses: Callable[[Forward, ConfigDict], tuple[jax.Array, dict[str, jax.Array]]] | None = None
    taught: HasTeachers | None = None

    @classmethod
    def of(cls, strategy: Strategy, config: ConfigDict) -> "Method":
        """The functions of a strategy's file; only this place looks for them.

        Raises:
          ConfigError: the file has no PRETRAINED, or not exactly one of `plan` and `choose`.
        """
        own = plugins.name(strategy)
        plans = strategy.plan if isinstance(strategy, Plans) else None
        chooses = strategy.choose if isinstance(strategy, Chooses) else None
        if not isinstance(getattr(strategy, "PRETRAINED", None), bool) or bool(plans) == bool(chooses):
            has = [name for name in NAMES if hasattr(strategy, name)]
            raise ConfigError(
                f"The strategy '{own}' must have PRETRAINED, True or False, and plan(groups, config) or "
                f"choose(facts, config); it has {', '.join(has) or 'none'} ({strategy.__file__})."
            )
        return cls(
            own,
            config,
            strategy.PRETRAINED,
            plans=plans,
            chooses=chooses,
            looks=strategy.look if isinstance(strategy, Looks) else None,
            fits=strategy.fit if isinstance(strategy, Fits) else None,
            initializes=strategy.initialize if isinstance(strategy, Initializes) else None,
            changes=strategy.effective if isinstance(strategy, Changes) else None,
            penalizes=strategy.penalty if isinstance(strategy, Penalizes) else None,
            varies=strategy.variant if isinstance(strategy, Varies) else None,
            losses=strategy.loss if isinstance(strategy, HasLoss) else None,
            taught=strategy if isinstance(strategy, HasTeachers) else None,
        )

    def plan(self, groups: Groups, facts: Facts | None = None) -> tuple[Phase, ...]:
        """The phases of the run.

        Args:
          facts: the result of its `look`; None if it has none.
        """
        if self.plans is None:
            raise TypeError(f"'{self.name}' chooses a strategy and has no plan of its own")
        return tuple(self.plans(groups, self.config) if facts is None else self.plans(groups, self.config, facts))

    def initialize(self, experiment: Experiment, *, seed: int) -> Experiment:
        """The experiment with the run's initial parameters and their groups."""
        if self.initializes is None:
            return experiment
        params, groups = self.initializes(
            experiment.variables["params"], experiment.groups, self.config, stages=experiment.stages, seed=seed
        )
        return dataclasses.replace(experiment, variables={**experiment.variables, "params": params}, groups=groups)

    def variant(self, sizes: NetworkSizes) -> NetworkSizes:
        """The sizes of the run's network, of those of its weights."""
        return self.varies(sizes, self.config) if self.varies else sizes

    def check(self, params: Params, groups: Groups, stages: Sequence[str]) -> None:
        """Raise ConfigError if the strategy does not fit these groups, as far as this is known before `look`."""
        if self.initializes:
            _, groups = self.initializes(params, groups, self.config, stages=stages, seed=0)
        layer_groups.check_moving(groups, self.config.moving_statistics)
        if self.plans and not self.looks:
            self.plan(groups)

    def named(self, asked: str) -> dict[str, str]:
        """For result.json: the strategy in the config, and for `auto` the strategy that it chose."""
        return {"strategy": asked} | ({"chosen_strategy": self.name} if self.name not in ("", asked) else {})

    def effective(self, params: Params, rng: jax.Array | None = None) -> Params:
        """The network's parameters: {"backbone": ..., "head": ...}."""
        return self.changes(params, self.config, rng) if self.changes else params

    def loss(self, forward: Forward) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of a batch without penalties, (), and values for the log."""
        return self.losses(forward, self.config) if self.losses else (forward.task_loss, {})

    def penalty(self, params: Params) -> dict[str, jax.Array]:
        """{"penalty": ()}, a term of the loss; {} if the strategy has none."""
        return {"penalty": self.penalizes(params, self.config)} if self.penalizes else {}


PLAIN = Method()
