"""Mixout (Lee et al. 2020): everything learns, while random parts of it are replaced by the pretrained weights.

In every training step each input of a kernel uses its pretrained weights with probability p:

    w' = (m w0 + (1 - m) w - p w0) / (1 - p) = w0 + (1 - m) / (1 - p) (w - w0),    m = 1 with probability p.

The mean of w' is w. Dropout is the case w0 = 0; like dropout, mixout takes whole inputs: m has one element for each row
of the kernel's matrix, which is (K K C) x D for a convolution. The same m is used for the whole batch. It applies to
kernels of the backbone; the head has no pretrained weights. Evaluation uses w. The paper tries 0.7, 0.8 and 0.9.

w0 is kept with the parameters as "start", frozen. It costs 4 bytes for each element of a kernel on every device and in
every checkpoint; in return a resumed run is exact even if the file of weights has changed.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, SHARE, Option
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Phase
from tljax.transfer import added_parameters

PRETRAINED = True
OPTIONS = {
    "mixout": Option(0.7, "Share of inputs with pretrained weights in a training step; paper: 0.7 to 0.9.", SHARE),
    "kernels": Option("backbone/.*/kernel", "The kernels that are mixed, chosen as in config.groups."),
    "backbone_scale": Option(1.0, "Scale of what learns in the backbone; the head's is 1.", POSITIVE),
}
initialize = added_parameters.start


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the backbone at `config.backbone_scale`, the head at 1, "start" frozen."""
    return added_parameters.from_start("mixout", groups, config.backbone_scale)


def effective(params: Params, config: ConfigDict, rng: jax.Array | None = None) -> Params:
    """The backbone (mixed, if `rng` is given) and the head."""
    if rng is None:
        return added_parameters.network(params)
    backbone, starts, p = flatten(params["backbone"]), flatten(params["start"]), config.mixout
    for path, key in added_parameters.keyed(rng, starts).items():
        start = starts[path]
        learns = jax.random.bernoulli(key, 1 - p, (*start.shape[:-1], 1))
        backbone[path] = start + jnp.where(learns, (backbone[path] - start) / (1 - p), 0)
    return {"backbone": unflatten(backbone), "head": params["head"]}
