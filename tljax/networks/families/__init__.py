"""Model families, one file each. Every file has the functions of `Family`; those of the other protocols are optional.
The flow asks for an optional part by its protocol.
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
    """Backbones of one kind, and the published names of their tensors."""

    @property
    def INPUT(self) -> str:  # noqa: N802 -- a constant of the file
        """The kind of input: a file of `tljax/data/inputs/`."""
        ...

    @property
    def UNUSED(self) -> tuple[str, ...]:  # noqa: N802
        """Patterns of published tensors that the network does not need to compute its output."""
        ...

    @property
    def VARIANTS(self) -> Mapping[str, NetworkSizes]:  # noqa: N802
        """The sizes of every published network, by name."""
        ...

    def variant_of(self, choice: VariantLike, /) -> NetworkSizes:
        """The sizes for a name in `VARIANTS`, for their fields, or for sizes; ConfigError lists the names."""
        ...

    def build(self, variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> Backbone:
        """The backbone, which computes in `dtype`.

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
          config: the config.json beside the weights; None: there is none.

        Raises:
          KeyError, IndexError, ValueError: the tensors do not belong to a network of this family.
          WeightsError, ConfigError: a size shows neither in the tensors nor in `config`, or is not supported.
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
    """Published arrays are changed to fit: another grid of positions, an older spelling."""

    def adapt(self, arrays: Published, shape: Tree, saw: tuple[int, ...] = (), /) -> Published:
        """The arrays for a network on inputs of `shape`.

        Args:
          shape: the shape of a batch of inputs, (B, H, W, C); for texts, a dict of shapes.
          saw: (height, width) of the pictures that the arrays are for, where they are no squares.
        """
        ...


@runtime_checkable
class Publishes(Protocol):
    """`adapt` can be undone when a model is saved or exported."""

    def as_published(self, arrays: Published, /) -> Published:
        """The arrays as they were published."""
        ...


@runtime_checkable
class KnowsItsSize(Protocol):
    """The size of the pictures in pretraining shows in the tensors."""

    def size_of(self, arrays: Published, /) -> int:
        """Pixels on a side; 0: it does not show."""
        ...


@runtime_checkable
class Describes(Protocol):
    """A family whose exports transformers can load."""

    def describe(self, variant: VariantLike, classes: Sequence[str], /) -> Record:
        """The config.json that belongs beside the weights."""
        ...


@runtime_checkable
class HasOwnParts(Protocol):
    """Some of its networks have parts that no other library has, under whatever names."""

    def own_parts(self, variant: VariantLike, /) -> str:
        """The parts, for the user; "" if there are none."""
        ...


@runtime_checkable
class HidesWords(Protocol):
    """A text encoder that can be trained on masked language modelling: `task.name=masked_lm`."""

    def unpooled(self, variant: VariantLike, /) -> VariantLike:
        """The same network without the pooler: masked language modelling does not train the pooler."""
        ...

    def masked_names(self, variant: VariantLike, /) -> tuple[Name, ...]:
        """As `names`, but with the head for masked language modelling instead of the classifier."""
        ...

    def has_masked_head(self, arrays: Published, /) -> bool:
        """Whether these arrays hold the head for masked language modelling, or a part of it.

        Raises:
          WeightsError: the last layer of the head is another matrix than the word embeddings.
        """
        ...
