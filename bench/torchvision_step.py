"""Training steps by SGD here and with torchvision's networks, in float32: what networks.py and maps.py compare."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import optax
from timing import Run, pictures, training

from tljax.core import layer_groups
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.training.parallel import compiler_options

if TYPE_CHECKING:
    import torch

LR, MOMENTUM = 0.01, 0.9


def ours(
    network: Network, batch: dict[str, np.ndarray], args: argparse.Namespace, *, task: Any = classification
) -> Run:
    """The step of a network here; all parameters learn."""
    variables = jax.jit(network.init)(jax.random.key(0), batch["image"][:1])
    groups = layer_groups.assign(variables["params"], network.backbone.stages, {})
    options = {} if args.as_xla_chooses else compiler_options()
    tx = optax.sgd(LR, momentum=MOMENTUM)
    return training(
        network, variables, batch, groups, tuple(groups), prepare=pictures, tx=tx, options=options, task=task
    )


def torchvision() -> ModuleType:
    """The package, also beside a torch that its compiled operations do not load in."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from reference import torch_vision

    torch_vision.declare()
    import torchvision

    return torchvision


def theirs(
    module: "torch.nn.Module",
    batch: dict[str, np.ndarray],
    loss: Callable[["torch.nn.Module", "torch.Tensor", "torch.Tensor"], "torch.Tensor"],
) -> Run:
    """The step of a module of torch.

    Args:
      loss: of the module, pictures (B, 3, H, W) and labels.
    """
    import torch

    optimizer = torch.optim.SGD(module.train().parameters(), LR, momentum=MOMENTUM)
    image = torch.from_numpy(np.ascontiguousarray(batch["image"].transpose(0, 3, 1, 2)))
    label = torch.from_numpy(batch["label"]).long()

    def steps(n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            loss(module, image, label).backward()
            optimizer.step()

    return Run(steps)
