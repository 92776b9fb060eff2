"""Write tests/reference/*.npz: what torch computes from the weights of tests/reference/draw.py.

    python scripts/make_reference_outputs.py              # all of them
    python scripts/make_reference_outputs.py vgg11 vgg13  # only these

Needs torch; the tests that read the files do not. Each file holds the published names and shapes and,
for every input and stage, some values of the output (NHWC) and its largest magnitude. Where the whole
network is too large to run in a test, the values are of a narrow one of the same structure.
"""

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))  # as pytest does for the tests, which are no package

from reference import (  # noqa: E402  # pyright: ignore[reportMissingImports]
    draw,
    torch_bit,
    torch_convnext,
    torch_mobile,
    torch_resnet,
    torch_text,
    torch_vgg,
    torch_vit,
)

LIMIT = 100_000  # bytes of one file


@dataclasses.dataclass(frozen=True)
class Reference:
    """One file; what its network is given is drawn by `given` from a shape of `inputs`."""

    module: Callable[..., Any]  # makes the network, which returns the outputs of `stages`, and the logits
    stages: tuple[str, ...]
    narrow: dict[str, Any] = dataclasses.field(default_factory=dict)  # arguments of `module` for the values
    kept: int = draw.KEPT  # values of each stage's output
    inputs: tuple[tuple[int, ...], ...] = draw.INPUTS  # (B, H, W, C)
    given: Callable[[Any], Any] = lambda shape: torch.from_numpy(draw.image(shape)).permute(0, 3, 1, 2)


RESNET_STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")
# File name without .npz -> what it holds.
REFERENCES = {
    **{
        f"resnet{v}": Reference(partial(torch_resnet.ResNet, v), RESNET_STAGES, inputs=draw.resnet_inputs(v))
        for v in torch_resnet.BLOCKS
    },
    **{
        f"vgg{v}": Reference(partial(torch_vgg.VGG, v), torch_vgg.STAGES, {"narrow": 8, "classes": 10}, kept=256)
        for v in torch_vgg.VARIANTS
    },
    **{
        f"convnext_{v}": Reference(
            partial(torch_convnext.ConvNeXt, v), torch_convnext.STAGES, {"narrow": 8, "classes": 10}, kept=512
        )
        for v in torch_convnext.BLOCKS
    },
    **{
        f"bit_{v}": Reference(
            partial(torch_bit.BiT, v),
            torch_bit.STAGES,
            {"narrow": draw.BIT_NARROW[v], "classes": 10},
            kept=512,
            inputs=draw.INPUTS[1:],
        )
        for v in torch_bit.SIZES
    },
    **{
        name: Reference(partial(torch_mobile.Net, v), torch_mobile.stages(v), kept=256, inputs=draw.INPUTS[1:])
        for name, v in torch_mobile.STORED.items()
    },
    **{
        f"vit_{v}": Reference(
            partial(torch_vit.ViT, v),
            ("embed", *(f"block{i}" for i in range(depth)), "norm"),
            {"size": size, "depth": depth, "classes": 10},
            kept=256,
            inputs=((2, *size, 3),),  # position embeddings are of one size
        )
        for v, depth, size in torch_vit.STORED
    },
    **{
        f"{family}_{size}": Reference(
            partial(torch_text.Encoder, family),
            ("embed", "block0", "block1", "pool"),
            {**torch_text.narrow(family), "classes": 10},
            kept=512,
            inputs=draw.TEXTS,
            given=partial(torch_text.given, family),
        )
        for family, size in torch_text.FAMILIES.items()
    },
}


def main(names: list[str]) -> None:
    for name in names or REFERENCES:
        path = TESTS / "reference" / f"{name}.npz"
        np.savez_compressed(path, allow_pickle=False, **summary(REFERENCES[name]))
        size = path.stat().st_size
        if size >= LIMIT:
            raise SystemExit(f"{path.name} must be smaller than {LIMIT} bytes; got {size}. Lower `kept`.")
        print(f"{path.name}: {size} bytes")


def summary(reference: Reference) -> dict[str, np.ndarray]:
    """The arrays of one file."""
    with torch.device("meta"):
        shapes = _shapes(reference.module())
    arrays = {
        "names": np.array(list(shapes)),
        "shapes": np.array([" ".join(map(str, shape)) for shape in shapes.values()]),
    }
    network = _drawn(reference.module(**reference.narrow))
    for i, shape in enumerate(reference.inputs):
        with torch.inference_mode():
            stages, logits = network(reference.given(shape))
        for stage, output in zip(reference.stages, stages, strict=True):
            output = output.permute(0, 2, 3, 1) if output.ndim == 4 else output  # NCHW -> NHWC
            arrays |= _kept(f"{i}/{stage}", output.numpy(), reference.kept)
        arrays |= {f"{i}/logits": logits.numpy()}
    return arrays


def _shapes(network: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by its published name; torch's own count of batches apart."""
    state = network.state_dict().items()
    return {name: tuple(value.shape) for name, value in state if not name.endswith("num_batches_tracked")}


def _drawn(network: Any) -> Any:
    """The network with every tensor drawn, in evaluation mode."""
    drawn = {name: torch.from_numpy(array) for name, array in draw.weights(_shapes(network)).items()}
    missing, extra = network.load_state_dict(drawn, strict=False)
    if extra or not all(name.endswith("num_batches_tracked") for name in missing):
        raise SystemExit(f"The module must take every drawn tensor; missing {missing}, extra {extra}.")
    return network.eval()


def _kept(key: str, output: np.ndarray, kept: int) -> dict[str, np.ndarray]:
    return {
        key: output.reshape(-1)[draw.positions(output.size)[:kept]],
        f"{key}/largest": np.abs(output).max(),
        f"{key}/shape": np.array(output.shape),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
