"""What a config names, loaded and checked as a whole, before anything is written or trained."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tljax import layer_groups, placement, pretrained, splits
from tljax.errors import ConfigError, gather
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
    parts: dict[str, Any]  # "train", "test", "validation" where there is one, targets -> `batches.Examples`
    augmented: bool  # whether training sees other inputs than evaluation does
    save_inputs: Callable[[Path], None]  # writes what else predicting needs into a model/ folder: a tokenizer
    published: Published | None  # the weights it starts from, under the family's names
    card: Card
    variant: Any  # a name in the family's table, or sizes of its own
    notes: Sequence[str]  # what was found out about the weights and inputs, or changed in them
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
    dataset, known = gather(
        lambda: find("data", config.data.source).load(config.data),
        lambda: pretrained.fetch(config.model, channels=config.data.channels, wanted=pretrained_wanted),
    )
    published, card, variant = known.published, known.card, known.variant
    backbone = family.build(variant, dtype=config.model.dtype, bn_axis=axis)
    subsets, classes = splits.choose(dataset, config.data, config.seed)
    inputs = find("inputs", family.INPUT).load(subsets, config, card=card, backbone=backbone)
    network, names = Network(backbone, task.head(len(classes))), tuple(family.names(variant))
    variables, drawn = placement.start(
        network,
        inputs.example,
        seed=config.seed,
        published=published,
        names=names,
        unused=family.UNUSED,
        adapt=getattr(family, "adapt", None),
        stages=_copied(backbone.stages, config.model.copied_stages),
    )
    groups = layer_groups.assign(variables["params"], backbone.stages, config.groups)
    return Experiment(
        info=dataset.info,
        classes=classes,
        parts=inputs.parts,
        augmented=inputs.augmented,
        save_inputs=inputs.save,
        published=published,
        card=card,
        variant=variant,
        notes=(*known.notes, *inputs.notes),
        prepare=inputs.prepare,
        network=network,
        names=names,
        variables=variables,
        drawn=drawn,
        groups=groups,
    )


def _copied(stages: Sequence[str], number: int) -> Sequence[str] | None:
    """The first `number` stages; None, which is all, for -1."""
    if number > len(stages):
        raise ConfigError(
            f"config.model.copied_stages must be at most the {len(stages)} stages ({', '.join(stages)}); got {number}."
        )
    return None if number < 0 else stages[:number]
