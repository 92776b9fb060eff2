"""L2-SP: everything learns; weights are pulled towards their initial values instead of towards 0.

Li et al. 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks": the loss gains

    alpha / 2 |w - w0|^2 + beta / 2 |v|^2,

where w are the backbone's kernels, w0 their pretrained values, and v is the head's kernel. Biases and normalisation
have no penalty, as in the authors' code, which also has the defaults alpha 0.1 and beta 0.01. The penalty replaces
weight decay: leave optimizer.weight_decay at 0. It is a part of the loss, so an adaptive optimizer rescales it with the
rest. The log has it as "penalty".

w0 is kept with the parameters as "start", frozen. It costs 4 bytes for each element of a kernel on every device and in
every checkpoint; in return a resumed run is exact even if the file of weights has changed.
"""

import jax
from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.options import NOT_NEGATIVE, POSITIVE, Option
from tljax.core.trees import flatten
from tljax.core.types import Params, Phase
from tljax.transfer import added_parameters

PRETRAINED = True
OPTIONS = {
    "alpha": Option(0.1, "Pull of the backbone to its start; authors' code: 0.1.", NOT_NEGATIVE, was="l2_sp_alpha"),
    "beta": Option(0.01, "Pull of the head to 0; the authors' code has 0.01.", NOT_NEGATIVE, was="l2_sp_beta"),
    "kernels": Option("backbone/.*/kernel", "The kernels with a penalty, chosen as in config.groups."),
    "backbone_scale": Option(1.0, "Scale of the backbone; that of the head is 1; paper: 0.1.", POSITIVE),
}
initialize = added_parameters.start


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the backbone at `config.backbone_scale`, the head at 1, "start" frozen."""
    return added_parameters.from_start("l2_sp", groups, config.backbone_scale)


def effective(params: Params, config: ConfigDict, rng: jax.Array | None = None) -> Params:
    """The backbone and the head."""
    del config, rng
    return added_parameters.network(params)


def penalty(params: Params, config: ConfigDict) -> jax.Array:
    """The term of the loss."""
    backbone, head = flatten(params["backbone"]), flatten(params["head"])
    pull = sum(((backbone[path] - start) ** 2).sum() for path, start in flatten(params["start"]).items())
    size = sum((leaf**2).sum() for leaf in head.values() if leaf.ndim > 1)
    return config.alpha / 2 * pull + config.beta / 2 * size
