"""Surgical fine-tuning (Lee et al. 2023, arXiv 2210.11466): the stages with the largest relative gradients learn.

The paper's criterion is the relative gradient norm of a layer, |gradient| / |parameters|. Here it is computed for each
group, over the first training batches, at the pretrained parameters.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, Option
from tljax.core.trees import flatten
from tljax.core.types import Phase
from tljax.transfer.strategy import Facts, Look

PRETRAINED = True
OPTIONS = {
    "tuned": Option(1, "Number of groups of the backbone that learn; in the paper one block.", POSITIVE),
    "batches": Option(5, "Number of training batches for the gradients.", POSITIVE),
}


def look(view: Look, config: ConfigDict) -> Facts:
    """Group -> its relative gradient norm."""
    gradients, params = flatten(view.gradients(config.batches)), flatten(view.params)
    return {group: _norm(gradients, paths) / max(_norm(params, paths), 1e-12) for group, paths in view.groups.items()}


def plan(groups: Groups, config: ConfigDict, facts: Facts) -> tuple[Phase, ...]:
    """One phase: the head, and the groups of the backbone with the largest relative gradient norms."""
    head = layer_groups.head(groups)
    largest = sorted((group for group in groups if group != head), key=lambda group: -facts[group])[: config.tuned]
    return (Phase("surgical", 1.0, {group: float(group in (*largest, head)) for group in groups}),)


def _norm(leaves: Mapping[str, np.ndarray], paths: Sequence[str]) -> float:
    return float(np.sqrt(sum(np.square(leaves[path]).sum() for path in paths)))
