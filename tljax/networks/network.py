"""A backbone and a task's head as one module, so that parameters are {"backbone": ..., "head": ...}."""

import dataclasses
from functools import partial
from typing import Protocol

import flax.linen as nn
import jax
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import between
from tljax.core.types import EVALUATE, Mode, Name, Published, Record, Tree, VariantLike
from tljax.networks.backbone import Backbone
from tljax.networks.families import Family


class Network(nn.Module):
    """`head(backbone(x))`; with `start`, a stage or "head", what comes before it has run already.

    A head with an attribute `stages`, names of stages, is called with {stage: output}, in the computation's dtype, and
    the mode; any other head with the backbone's features. Stages behind the last one that the head reads have
    parameters, and are not run.

    Of the stages in `remat` the backward pass is kept their input alone, and computes what is inside once more
    (Chen et al. 2016).
    """

    backbone: Backbone
    head: nn.Module
    start: str | None = None
    remat: tuple[str, ...] = ()

    def __call__(self, x: jax.Array, mode: Mode = EVALUATE, *, start: str | None = None) -> jax.Array:
        """Normalised pixels (B, H, W, C), or with `start` what `encoded` gives up to the stage before it, to logits."""
        start = start or self.start
        return self._answer(x if start == "head" else self.encoded(x, mode, start=start), mode)

    def with_features(self, x: jax.Array, mode: Mode = EVALUATE) -> tuple[jax.Array, jax.Array]:
        """(What the head is given (B, D), its logits (B, K)); `x` as `__call__` takes it."""
        features = x if self.start == "head" else self.encoded(x, mode, start=self.start)
        return features, self._answer(features, mode)

    def features(self, x: jax.Array, mode: Mode = EVALUATE, *, stop: str | None = None) -> jax.Array:
        """What is known behind stage `stop`, see `encoded`; without it, what the head is given, say (B, D)."""
        return self.encoded(x, mode, stop=stop)

    def encoded(self, x: Tree, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None) -> Tree:
        """What the backbone makes of `x` from stage `start` to `stop`, as its own `__call__`.

        For a head that reads stages it is {stage: output}: of those read up to `stop`, and of `stop` itself where more
        is to run. With `start`, `x` is what was given for the stage before.
        """
        if self.reads:
            return self._outputs(x, mode, start, stop)
        if not self.remat:
            return self.backbone(x, mode, start=start, stop=stop)
        stages = between(self.stages, start, stop)
        for name in stages:
            x = self._stage(x, mode, name, stop if name == stages[-1] else name)
        return x

    @property
    def stages(self) -> tuple[str, ...]:
        """The backbone's, input first."""
        return tuple(self.backbone.stages)

    @property
    def reads(self) -> tuple[str, ...]:
        """The stages whose outputs the head is given, input first; none: it is given the backbone's features."""
        chosen = getattr(self.head, "stages", ())
        return tuple(name for name in self.stages if name in chosen) if chosen else ()

    def _answer(self, known: Tree, mode: Mode) -> Tree:
        return self.head(known, mode) if self.reads else self.head(known)

    def _outputs(self, x: Tree, mode: Mode, start: str | None, stop: str | None) -> Record:
        stages, last = self.stages, self.reads[-1]
        outputs, first = (dict(x), stages.index(start)) if start else ({}, 0)
        y = outputs.get(stages[first - 1]) if start else x
        end = None if self.is_initializing() else last  # what is not run has its parameters all the same
        for name in [one for one in between(stages, start, stop) if one in between(stages, None, end)]:
            y = outputs[name] = self._stage(y, mode, name, name)
        more = stop is not None and stages.index(stop) < stages.index(last)
        return {name: y for name, y in outputs.items() if name in self.reads or (more and name == stop)}

    def _stage(self, x: Tree, mode: Mode, name: str, stop: str | None) -> Tree:
        """One stage; as the backbone's last, where `stop` is None."""
        run = partial(_run, mode=mode, start=name, stop=stop)
        return (nn.remat(run) if name in self.remat else run)(self.backbone, x)


def _run(backbone: nn.Module, x: Tree, *, mode: Mode, start: str, stop: str | None) -> Tree:
    return backbone(x, mode, start=start, stop=stop)


@dataclasses.dataclass(frozen=True)
class Built:
    """A network for a task, and how it goes with published weights."""

    network: Network
    names: tuple[Name, ...]  # the published name of every parameter
    variant: VariantLike  # of the backbone: a name in the family's table, or sizes of its own
    published_head: bool = False  # whether the head takes published arrays; else it starts at random
    notes: tuple[str, ...] = ()  # what differs from what was asked for


class Build(Protocol):
    """What makes the network of a task."""

    def __call__(
        self,
        family: Family,
        variant: VariantLike,
        published: Published | None,
        /,
        *,
        dtype: DTypeLike,
        bn_axis: str | None,
    ) -> Built: ...


def build(
    build: Build,
    family: Family,
    variant: VariantLike,
    published: Published | None,
    config: ConfigDict,
    *,
    axis: str | None,
) -> Built:
    """The network that `build` makes, with what `config` asks of every network.

    Args:
      build: of the task, or `plain` with its head.
      config: the model's own; its `dtype`, `drop_path` and `remat` are the network's.
      axis: the pmap axis that BatchNorm statistics span, None under jit.

    Raises:
      ConfigError: the family has no stochastic depth, or no such stages as the config or the head name.
    """
    built = build(family, variant, published, dtype=config.dtype, bn_axis=axis)
    backbone = _dropping(built.network.backbone, config)
    remat = layer_groups.stages_of(config.remat, backbone.stages, "config.model.remat")
    undone = "remat: no memory is saved, for XLA undoes it on a CPU"
    notes = (*built.notes, undone) if remat and jax.default_backend() == "cpu" else built.notes
    return dataclasses.replace(built, network=built.network.clone(backbone=backbone, remat=remat), notes=notes)


def plain(
    head: nn.Module,
    family: Family,
    variant: VariantLike,
    published: Published | None,
    /,
    *,
    dtype: DTypeLike,
    bn_axis: str | None,
) -> Built:
    """The backbone with `head`, which starts at random; what a task builds that builds nothing of its own."""
    del published
    return Built(
        with_head(family.build(variant, dtype=dtype, bn_axis=bn_axis), head), tuple(family.names(variant)), variant
    )


def with_head(backbone: Backbone, head: nn.Module) -> Network:
    """Both as one module; ConfigError where the head reads stages that the backbone does not have."""
    if unknown := [name for name in getattr(head, "stages", ()) if name not in backbone.stages]:
        raise ConfigError(
            f"The task's head must read stages of the backbone ({', '.join(backbone.stages)}); it reads "
            f"{', '.join(unknown)}. Choose another config.model.family, or another head."
        )
    return Network(backbone, head)


def _dropping(backbone: Backbone, config: ConfigDict) -> Backbone:
    """The backbone with stochastic depth, where `config` asks for it."""
    if not config.drop_path:
        return backbone
    if not hasattr(backbone, "drop_path"):
        raise ConfigError(
            f"config.model.drop_path needs a family with stochastic depth (vit, convnext, efficientnet); "
            f"'{config.family}' has none. Set it to 0."
        )
    return backbone.clone(drop_path=config.drop_path)
