"""A backbone and a task's head as one module, so that parameters are {"backbone": ..., "head": ...}."""

import dataclasses
from functools import partial
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import between
from tljax.core.types import EVALUATE, Mode, Name, Published


class Network(nn.Module):
    """`head(backbone(x))`; with `start`, a stage or "head", what comes before it has run already.

    Of the stages in `remat` the backward pass is kept their input alone, and computes what is inside once more
    (Chen et al. 2016).
    """

    backbone: nn.Module
    head: nn.Module
    start: str | None = None
    remat: tuple[str, ...] = ()

    def __call__(self, x: jax.Array, mode: Mode = EVALUATE, *, start: str | None = None) -> jax.Array:
        """Normalised pixels (B, H, W, C), or with `start` the output of the stage before it, to logits (B, K)."""
        start = start or self.start
        return self.head(x if start == "head" else self.encoded(x, mode, start=start))

    def with_features(self, x: jax.Array, mode: Mode = EVALUATE) -> tuple[jax.Array, jax.Array]:
        """(What the head is given (B, D), its logits (B, K)); `x` as `__call__` takes it."""
        features = x if self.start == "head" else self.encoded(x, mode, start=self.start)
        return features, self.head(features)

    def features(self, x: jax.Array, mode: Mode = EVALUATE, *, stop: str | None = None) -> jax.Array:
        """The output of stage `stop`; without it, what the head would be given: (B, D)."""
        return self.encoded(x, mode, stop=stop)

    def encoded(self, x: Any, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None) -> Any:
        """What the backbone makes of `x` from stage `start` to `stop`, as its own `__call__`."""
        if not self.remat:
            return self.backbone(x, mode, start=start, stop=stop)
        stages = between(self.backbone.stages, start, stop)  # pyright: ignore[reportAttributeAccessIssue]
        for name in stages:
            run = partial(_run, mode=mode, start=name, stop=stop if name == stages[-1] else name)
            x = (nn.remat(run) if name in self.remat else run)(self.backbone, x)
        return x


def _run(backbone: Any, x: Any, **options: Any) -> Any:
    return backbone(x, **options)


@dataclasses.dataclass(frozen=True)
class Built:
    """A network for a task, and how it goes with published weights."""

    network: Network
    names: tuple[Name, ...]  # the published name of every parameter
    variant: Any  # of the backbone: a name in the family's table, or sizes of its own
    published_head: bool = False  # whether the head takes published arrays; else it starts at random
    notes: tuple[str, ...] = ()  # what differs from what was asked for


def build(
    task: Any, family: ModuleType, variant: Any, published: Published | None, config: Any, *, outputs: int, axis: Any
) -> Built:
    """The network that the task builds, where it builds one; else the backbone with the task's head.

    Args:
      config: the model's own; its `dtype`, `drop_path` and `remat` are the network's.
      outputs: K, what the head puts out for an example.
      axis: the pmap axis that BatchNorm statistics span, None under jit.

    Raises:
      ConfigError: the family has no stochastic depth, or no such stages.
    """
    options = {"dtype": config.dtype, "bn_axis": axis}
    if hasattr(task, "build"):
        built = task.build(family, variant, published, **options)
    else:
        backbone = family.build(variant, **options)
        built = Built(Network(backbone, task.head(outputs)), tuple(family.names(variant)), variant)
    backbone = _dropping(built.network.backbone, config)
    remat = layer_groups.stages_of(config.remat, backbone.stages, "config.model.remat")
    undone = "remat: no memory is saved, for XLA undoes it on a CPU"
    notes = (*built.notes, undone) if remat and jax.default_backend() == "cpu" else built.notes
    return dataclasses.replace(built, network=built.network.clone(backbone=backbone, remat=remat), notes=notes)


def _dropping(backbone: Any, config: Any) -> Any:
    """The backbone with stochastic depth, where `config` asks for it."""
    if not config.drop_path:
        return backbone
    if not hasattr(backbone, "drop_path"):
        raise ConfigError(
            f"config.model.drop_path needs a family with stochastic depth (vit, convnext, efficientnet); "
            f"'{config.family}' has none. Set it to 0."
        )
    return backbone.clone(drop_path=config.drop_path)
