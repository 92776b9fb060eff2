"""Running torch networks on NHWC arrays, for the parity tests of VGG and ConvNeXt."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


def load(module: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Every tensor of the module by name, torch's own counts of batches and places apart; in evaluation mode."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    missing, extra = module.load_state_dict(tensors, strict=False)
    own = ("num_batches_tracked", "relative_position_index")
    assert not extra and all(name.endswith(own) for name in missing), (missing, extra)
    return module.eval()


def nchw(x: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def nhwc(x: Any) -> np.ndarray:
    return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).detach().numpy()


def outputs(module: Any, x: np.ndarray, stages: Sequence[str]) -> dict[str, np.ndarray]:
    """The output of every stage, and the logits, of a written-out module."""
    with torch.inference_mode():
        found, logits = module(nchw(x))
    return dict(zip(stages, map(nhwc, found), strict=True)) | {"logits": logits.numpy()}


def gradients(module: Any, x: np.ndarray, labels: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    """Mean cross-entropy in float64 and its gradient by every parameter and by the input."""
    module, pixels = module.double(), nchw(x.astype(np.float64)).requires_grad_()
    loss = torch.nn.functional.cross_entropy(module(pixels)[1], torch.from_numpy(labels))
    loss.backward()
    found = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    return loss.item(), found | {"input": nhwc(pixels.grad)}
