"""Names of a BiT in the torch libraries: kernels are (O, I, H, W), and each library has its own prefixes."""

import numpy as np

from tljax.core.types import Rule

LEAF = r"(weight|bias)"
KERNEL = "standardized_conv2d/kernel"


def rules(stem: str, unit: str, norm: str, head: str) -> tuple[Rule, ...]:
    """The rules from a library's names to the names of the published npz.

    Args:
      stem: pattern of the first convolution, without its leaves.
      unit: pattern of a unit's prefix, with two groups: the number of the stage, and that of the unit.
      norm: pattern of the last normalisation, without its leaves.
      head: pattern of the classifier, a convolution or a dense layer.
    """
    return (
        Rule(rf"{stem}\.weight", lambda: f"resnet/root_block/{KERNEL}", change=hwio),
        Rule(rf"{unit}conv([123])\.weight", lambda s, u, c: _unit(s, u, f"{' abc'[c]}/{KERNEL}"), change=hwio),
        Rule(rf"{unit}downsample\.conv\.weight", lambda s, u: _unit(s, u, f"a/proj/{KERNEL}"), change=hwio),
        Rule(rf"{unit}norm([123])\.{LEAF}", lambda s, u, c, leaf: _unit(s, u, f"{' abc'[c]}/{_scale(leaf)}")),
        Rule(rf"{norm}\.{LEAF}", lambda leaf: f"resnet/{_scale(leaf)}"),
        Rule(rf"{head}\.weight", lambda: "resnet/head/conv2d/kernel", change=hwio),
        Rule(rf"{head}\.bias", lambda: "resnet/head/conv2d/bias"),
    )


def hwio(kernel: np.ndarray) -> np.ndarray:
    """(O, I, H, W), or (O, I) of a dense layer, -> (H, W, I, O)."""
    kernel = kernel if kernel.ndim == 4 else kernel[:, :, None, None]
    return kernel.transpose(2, 3, 1, 0)


def _unit(s: int, u: int, scope: str) -> str:
    return f"resnet/block{s + 1}/unit{u + 1:02d}/{scope}"


def _scale(leaf: str) -> str:
    return "group_norm/" + {"weight": "gamma", "bias": "beta"}[leaf]
