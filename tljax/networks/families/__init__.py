"""WHAT computes: a file here is a model family. `Family` is what each has; the other protocols are what a file may have
besides, and the flow asks for them by these types.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.modules import Plugin
from tljax.core.types import Json, Name, NetworkSizes, Record, Tree, VariantLike
from tljax.networks.backbone import Backbone

Published = Mapping[str, np.ndarray]  # arrays under their published names


class Family(Plugin, Protocol):
    """Backbones of one kind, and how their published tensors are called."""

    @property
    def INPUT(self) -> str:  # noqa: N802 -- a constant of the file
        """What it sees: a file of `tljax/data/inputs/`."""
        ...

    @property
    def UNUSED(self) -> tuple[str, ...]:  # noqa: N802
        """Patterns of published tensors that a function of the input does not need."""
        ...

    @property
    def VARIANTS(self) -> Mapping[str, NetworkSizes]:  # noqa: N802
        """The sizes of every published network, by name."""
        ...

    def variant_of(self, said: VariantLike, /) -> NetworkSizes:
        """The sizes that a name in `VARIANTS`, or their fields, or they themselves mean; ConfigError lists names."""
        ...

    def build(self, variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> Backbone:
        """The backbone, that computes in `dtype`.

        Args:
          bn_axis: the pmap axis that BatchNorm statistics span; None under jit.
        """
        ...

    def names(self, variant: VariantLike, /) -> Sequence[Name]:
        """A row for every parameter and statistic of the backbone, and of the published classifier under "head"."""
        ...


@runtime_checkable
class Infers(Protocol):
    """Sizes can be read from tensors: `model.variant=auto`."""

    def infer(self, arrays: Published, config: Json | None, /) -> NetworkSizes:
        """The sizes that published tensors have.

        Args:
          config: what stands about the network beside its weights; None: nothing does.

        Raises:
          KeyError, IndexError, ValueError: they are of no network of this family.
          WeightsError, ConfigError: what they do not show stands nowhere, or is not built here.
        """
        ...


@runtime_checkable
class Pools(NetworkSizes, Protocol):
    """Sizes of a text encoder."""

    @property
    def pooling(self) -> str:
        """How a text becomes one vector: one of `encoder.POOLINGS`."""
        ...


@runtime_checkable
class Adapts(Protocol):
    """Published arrays are made to fit: another grid of positions, an older spelling."""

    def adapt(self, arrays: Published, shape: Tree, /) -> Published:
        """The arrays as a network on inputs of `shape` takes them.

        Args:
          shape: of a batch of inputs, (B, H, W, C); of texts, a dict of shapes.
        """
        ...


@runtime_checkable
class Publishes(Protocol):
    """`adapt` can be undone where a model is saved or exported."""

    def as_published(self, arrays: Published, /) -> Published:
        """The arrays as their library has them."""
        ...


@runtime_checkable
class KnowsItsSize(Protocol):
    """Tensors tell how large the pictures were that they saw."""

    def size_of(self, arrays: Published, /) -> int:
        """Pixels of a side; 0: they do not tell."""
        ...


@runtime_checkable
class Describes(Protocol):
    """Another library loads what is exported: transformers."""

    def describe(self, variant: VariantLike, classes: Sequence[str], /) -> Record:
        """The config.json that belongs beside the weights."""
        ...


@runtime_checkable
class HidesWords(Protocol):
    """A text encoder that was trained to say what stands at hidden places: `task.name=masked_lm`."""

    def unpooled(self, variant: VariantLike, /) -> VariantLike:
        """The same network without the pooler, which this task does not train."""
        ...

    def masked_names(self, variant: VariantLike, /) -> tuple[Name, ...]:
        """As `names`, with the head of masked language modelling in the place of the classifier."""
        ...

    def has_masked_head(self, arrays: Published, /) -> bool:
        """Whether these arrays hold that head, or some of it.

        Raises:
          WeightsError: its last layer is a matrix of its own, not the word embeddings.
        """
        ...
