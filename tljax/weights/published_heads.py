"""torchvision's published segmentation and detection networks: their heads under the names that heads have here.

fcn_resnet*, deeplabv3_resnet* and fcos_resnet50_fpn. The first two have dilated convolutions instead of strides in the
last two stages, which tensors do not show: `Head.facts` says so.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

CONV = {"weight": "kernel", "bias": "bias"}
NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
SIDES = (1, 0, 3, 2)  # torchvision's left, top, right, bottom -> top, left, bottom, right


@dataclasses.dataclass(frozen=True)
class Head:
    """The head of one kind of network."""

    name: str
    mark: str  # a kernel that shows it
    rows: tuple[tuple[str, str, Mapping[str, str]], ...]  # pattern of modules -> module here; leaf -> leaf here
    facts: Mapping[str, int] = dataclasses.field(default_factory=dict)  # of the backbone


FCN = Head(
    "FCN",
    "classifier.4.weight",
    (
        (r"classifier\.0", "inner.conv", CONV),
        (r"classifier\.1", "inner.bn", NORM),
        (r"classifier\.4", "classifier", CONV),
    ),
    {"dilated": 2},
)
DEEPLAB = Head(
    "DeepLabV3",
    "classifier.0.convs.0.0.weight",
    (
        (r"classifier\.0\.convs\.([0-3])\.0", r"branch\1.conv", CONV),
        (r"classifier\.0\.convs\.([0-3])\.1", r"branch\1.bn", NORM),
        (r"classifier\.0\.convs\.4\.1", "whole.conv", CONV),
        (r"classifier\.0\.convs\.4\.2", "whole.bn", NORM),
        (r"classifier\.0\.project\.0", "project.conv", CONV),
        (r"classifier\.0\.project\.1", "project.bn", NORM),
        (r"classifier\.1", "inner.conv", CONV),
        (r"classifier\.2", "inner.bn", NORM),
        (r"classifier\.4", "classifier", CONV),
    ),
    {"dilated": 2},
)
LAST = {"weight": "conv.kernel", "bias": "bias"}
FCOS = Head(
    "FCOS",
    "head.regression_head.bbox_ctrness.weight",
    (
        (r"backbone\.fpn\.(inner|layer)_blocks\.(\d)(?:\.0)?", r"pyramid.\1\2", CONV),  # older files have no ".0"
        (r"backbone\.fpn\.extra_blocks\.p6", "pyramid.extra0", CONV),
        (r"backbone\.fpn\.extra_blocks\.p7", "pyramid.extra1", CONV),
        *((rf"head\.{theirs}_head\.conv\.{3 * i}", f"{ours}_tower.conv{i}", CONV)
          for theirs, ours in (("classification", "class"), ("regression", "box")) for i in range(4)),
        *((rf"head\.{theirs}_head\.conv\.{3 * i + 1}", f"{ours}_tower.norm{i}", NORM)
          for theirs, ours in (("classification", "class"), ("regression", "box")) for i in range(4)),
        (r"head\.classification_head\.cls_logits", "logits", LAST),
        (r"head\.regression_head\.bbox_reg", "sides", LAST),
        (r"head\.regression_head\.bbox_ctrness", "centre", LAST),
    ),
)  # fmt: skip
HEADS = (DEEPLAB, FCN, FCOS)


def of(names: Iterable[str], arrays: Mapping[str, np.ndarray]) -> Head | None:
    """The head that these tensors belong to; None if they are no network's known here.

    A classifier of dense layers, of somebody's own, may have the same names: a kernel has four axes.
    """
    known = frozenset(names)
    return next((head for head in HEADS if head.mark in known and arrays[head.mark].ndim == 4), None)


def renamed(head: Head, names: Iterable[str]) -> dict[str, str]:
    """The name here -> the file's name, for every tensor of the head."""
    table = {}
    for name in names:
        module, _, leaf = name.rpartition(".")
        for pattern, ours, leaves in head.rows:
            if leaf in leaves and (match := re.fullmatch(pattern, module)):
                table[f"head.{match.expand(ours)}.{leaves[leaf]}"] = name
    return table


def read(ours: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """A tensor of a head in the order of outputs that it has here."""
    return make()[list(SIDES)] if ours.startswith("head.sides.") else make()
