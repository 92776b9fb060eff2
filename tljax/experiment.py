"""What a config names, loaded and checked as a whole, before anything is written or trained."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

from tljax import layer_groups, preprocess, pretrained, splits
from tljax.batches import Pictures, one_shape
from tljax.errors import gather
from tljax.layer_groups import Groups
from tljax.network import Network
from tljax.plugins import find
from tljax.preprocess import Prepare
from tljax.types import Card, Info, Name, Published, Variables


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Examples, and the network that is to learn from them."""

    info: Info
    classes: Sequence[str]  # of the task, in the order of its labels
    parts: dict[str, Pictures]  # "train", "test", and "validation" where there is one
    published: Published | None  # the weights it starts from
    card: Card
    prepare: Prepare
    network: Network
    names: Sequence[Name]  # the family's name table
    variables: Variables  # at the start, on the host
    drawn: tuple[str, ...]  # the paths that start at random
    groups: Groups

    @property
    def stages(self) -> tuple[str, ...]:
        """The backbone's stages, input first."""
        return tuple(self.network.backbone.stages)

    @property
    def skipped(self) -> list[str]:
        """ "path: reason" of every example that was left out."""
        return [*self.info.skipped, *(row for part in self.parts.values() for row in part.skipped)]

    def fingerprints(self) -> dict[str, str]:
        """Checksums of what is learned from, by part, and the classes."""
        return {name: part.fingerprint() for name, part in self.parts.items()} | {"classes": ", ".join(self.classes)}


def load(config: Any, *, axis: str | None, pretrained_wanted: bool = True) -> Experiment:
    """Read what `config` names, the whole of it; faults of data and of weights come in one error.

    Args:
      axis: the pmap axis that BatchNorm statistics span, None under jit.
      pretrained_wanted: whether the network starts from `config.model.weights`.

    Raises:
      TljaxError: of config, data or weights; see `errors`.
    """
    family, task = find("models", config.model.family), find("tasks", config.task.name)
    backbone = family.build(config.model.variant, dtype=config.model.dtype, bn_axis=axis)
    dataset, (published, card) = gather(
        lambda: find("data", config.data.source).load(config.data),
        lambda: pretrained.fetch(config.model, wanted=pretrained_wanted),
    )
    subsets, classes = splits.choose(dataset, config.data, config.seed)
    decoded = gather(*(partial(Pictures, subset, config.data, card) for subset in subsets.values()))
    parts: dict[str, Pictures] = dict(zip(subsets, decoded, strict=True))
    prepare = preprocess.make(config.data, card, one_shape(parts))
    network, names = Network(backbone, task.head(len(classes))), tuple(family.names(config.model.variant))
    variables, drawn = pretrained.start(
        network,
        preprocess.example(config.data),
        seed=config.seed,
        published=published,
        names=names,
        unused=family.UNUSED,
        adapt=getattr(family, "adapt", None),
    )
    groups = layer_groups.assign(variables["params"], backbone.stages, config.groups)
    return Experiment(dataset.info, classes, parts, published, card, prepare, network, names, variables, drawn, groups)
