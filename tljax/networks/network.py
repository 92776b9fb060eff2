"""A backbone and a task's head as one module, so that parameters are {"backbone": ..., "head": ...}."""

import dataclasses
from collections.abc import Callable
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
from tljax.networks import attention
from tljax.networks.backbone import Backbone
from tljax.networks.families import Family


class Network(nn.Module):
    """`head(backbone(x))`. With `start` (a stage or "head"), `x` is the output of the stage before `start`.

    A head may have an attribute `stages`, names of stages. It is then called with {stage: output}, in the
    computation's dtype, and the mode. Any other head is called with the backbone's features. Stages after the last
    stage that the head reads have parameters, but are not run.

    For a stage in `remat`, only its input is kept for the backward pass, which computes the inner values again
    (Chen et al. 2016).
    """

    backbone: Backbone
    head: nn.Module
    start: str | None = None
    remat: tuple[str, ...] = ()
    attention: str = "xla"  # the kernel of attention, see `attention.kernel`

    def __call__(self, x: jax.Array, mode: Mode = EVALUATE, *, start: str | None = None) -> jax.Array:
        """Normalised pixels (B, H, W, C) -> logits. With `start`, `x` is the result of `encoded` before `start`."""
        start = start or self.start
        return self._answer(x if start == "head" else self.encoded(x, mode, start=start), mode)

    def with_features(self, x: jax.Array, mode: Mode = EVALUATE) -> tuple[jax.Array, jax.Array]:
        """(Features for the head (B, D), logits (B, K)); `x` as in `__call__`."""
        features = x if self.start == "head" else self.encoded(x, mode, start=self.start)
        return features, self._answer(features, mode)

    def features(self, x: jax.Array, mode: Mode = EVALUATE, *, stop: str | None = None) -> jax.Array:
        """The result of `encoded` after stage `stop`; without `stop`, the features for the head, say (B, D)."""
        return self.encoded(x, mode, stop=stop)

    def encoded(self, x: Tree, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None) -> Tree:
        """The backbone's output from stage `start` to `stop`, as its `__call__` gives it.

        For a head that reads stages it is {stage: output}: the stages that the head reads up to `stop`, and `stop`
        itself if more stages are to run. With `start`, `x` is the result of `encoded` for the stage before.
        """
        with attention.kernel(self.attention):
            return self._encoded(x, mode, start, stop)

    def _encoded(self, x: Tree, mode: Mode, start: str | None, stop: str | None) -> Tree:
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
        """The names of the backbone's stages, input first."""
        return tuple(self.backbone.stages)

    @property
    def reads(self) -> tuple[str, ...]:
        """The stages whose outputs the head reads, input first; (): it reads the backbone's features."""
        chosen = getattr(self.head, "stages", ())
        return tuple(name for name in self.stages if name in chosen) if chosen else ()

    def _answer(self, known: Tree, mode: Mode) -> Tree:
        with attention.kernel(self.attention):
            return self.head(known, mode) if self.reads else self.head(known)

    def _outputs(self, x: Tree, mode: Mode, start: str | None, stop: str | None) -> Record:
        stages, last = self.stages, self.reads[-1]
        outputs, first = (dict(x), stages.index(start)) if start else ({}, 0)
        y = outputs.get(stages[first - 1]) if start else x
        end = None if self.is_initializing() else last  # stages that are not run have parameters too
        for name in [one for one in between(stages, start, stop) if one in between(stages, None, end)]:
            y = outputs[name] = self._stage(y, mode, name, name)
        more = stop is not None and stages.index(stop) < stages.index(last)
        return {name: y for name, y in outputs.items() if name in self.reads or (more and name == stop)}

    def _stage(self, x: Tree, mode: Mode, name: str, stop: str | None) -> Tree:
        """Run one stage; if `stop` is None, up to the backbone's features."""
        run = partial(_run, mode=mode, start=name, stop=stop)
        return (nn.remat(run) if name in self.remat else run)(self.backbone, x)


def _run(backbone: nn.Module, x: Tree, *, mode: Mode, start: str, stop: str | None) -> Tree:
    return backbone(x, mode, start=start, stop=stop)


@dataclasses.dataclass(frozen=True)
class Built:
    """A network for a task, and how published weights fit it."""

    network: Network
    names: tuple[Name, ...]  # the published name of every parameter
    variant: VariantLike  # of the backbone: a name in the family's table, or sizes
    published_head: bool = False  # whether the head takes published arrays; else its weights are random
    notes: tuple[str, ...] = ()  # differences from the config that the user must see


class Build(Protocol):
    """A function that builds the network of a task."""

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
    """The network that `build` returns, with the settings in `config` that every network has.

    Args:
      build: the task's own, or `plain` with the task's head.
      config: `config.model`; `dtype`, `drop_path`, `remat` and `attention` are read here.
      axis: the pmap axis that BatchNorm statistics span, None under jit.

    Raises:
      ConfigError: the family has no stochastic depth, or does not have the stages that the config or the head name.
    """
    built = build(family, variant, published, dtype=config.dtype, bn_axis=axis)
    backbone = _dropping(built.network.backbone, config)
    remat = layer_groups.stages_of(config.remat, backbone.stages, "config.model.remat")
    on_cpu = jax.default_backend() == "cpu"
    undone = ("remat: saves no memory on a CPU, because XLA undoes it there",) if remat and on_cpu else ()
    other = ("attention: cudnn is of NVIDIA's GPUs; on a CPU XLA computes it",)
    notes = (*built.notes, *undone, *(other if config.attention == "cudnn" and on_cpu else ()))
    network = built.network.clone(backbone=backbone, remat=remat, attention=config.attention)
    return dataclasses.replace(built, network=network, notes=notes)


def plain(
    head: Callable[[Backbone], nn.Module],
    family: Family,
    variant: VariantLike,
    published: Published | None,
    /,
    *,
    dtype: DTypeLike,
    bn_axis: str | None,
) -> Built:
    """The backbone with `head(backbone)`, whose weights are random: the network of tasks without a `build`."""
    del published
    backbone = family.build(variant, dtype=dtype, bn_axis=bn_axis)
    return Built(with_head(backbone, head(backbone)), tuple(family.names(variant)), variant)


def with_head(backbone: Backbone, head: nn.Module) -> Network:
    """Both as one module; ConfigError if the head reads stages that the backbone does not have."""
    if unknown := [name for name in getattr(head, "stages", ()) if name not in backbone.stages]:
        raise ConfigError(
            f"The task's head must read stages of the backbone ({', '.join(backbone.stages)}); it reads "
            f"{', '.join(unknown)}. Choose another config.model.family, or another head."
        )
    return Network(backbone, head)


def on(network: Network, example: Tree) -> Network:
    """The network for inputs of this shape: a head with a field `shape` is told height and width."""
    if not hasattr(network.head, "shape") or getattr(example, "ndim", 0) != 4:
        return network
    return network.clone(head=network.head.clone(shape=tuple(example.shape[1:3])))


def _dropping(backbone: Backbone, config: ConfigDict) -> Backbone:
    """The backbone with stochastic depth if `config` asks for it."""
    if not config.drop_path:
        return backbone
    if not hasattr(backbone, "drop_path"):
        raise ConfigError(
            f"config.model.drop_path needs a family with stochastic depth (vit, convnext, efficientnet); "
            f"'{config.family}' has none. Set it to 0."
        )
    return backbone.clone(drop_path=config.drop_path)
