"""Write tests/reference/resnet{18,34,50}.npz: what torch computes from the weights of tests/reference/draw.py.

    python scripts/make_reference_outputs.py

Needs torch; the tests that read the files do not. Each file holds the published names and shapes and,
for every input and stage, some values of the output (NHWC) and its largest magnitude.
"""

import sys
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))  # as pytest does for the tests, which are no package

from reference import draw, torch_resnet  # noqa: E402  # pyright: ignore[reportMissingImports]

STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")
LIMIT = 100_000  # bytes of one file


def main() -> None:
    for variant in torch_resnet.BLOCKS:
        path = TESTS / "reference" / f"resnet{variant}.npz"
        np.savez_compressed(path, allow_pickle=False, **summary(variant))
        size = path.stat().st_size
        if size >= LIMIT:
            raise SystemExit(f"{path.name} must be smaller than {LIMIT} bytes; got {size}. Lower draw.KEPT.")
        print(f"{path.name}: {size} bytes")


def summary(variant: str) -> dict[str, np.ndarray]:
    """The arrays of one file."""
    network = torch_resnet.ResNet(variant).eval()
    shapes = {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    drawn = {name: torch.from_numpy(array) for name, array in draw.weights(shapes).items()}
    missing, extra = network.load_state_dict(drawn, strict=False)
    if extra or not all(name.endswith("num_batches_tracked") for name in missing):
        raise SystemExit(f"The module must take every drawn tensor; missing {missing}, extra {extra}.")
    arrays = {
        "names": np.array(list(shapes)),
        "shapes": np.array([" ".join(map(str, shape)) for shape in shapes.values()]),
    }
    for i, shape in enumerate(draw.INPUTS):
        with torch.inference_mode():
            stages, logits = network(torch.from_numpy(draw.image(shape)).permute(0, 3, 1, 2))
        for stage, output in zip(STAGES, stages, strict=True):
            arrays |= _kept(f"{i}/{stage}", output.permute(0, 2, 3, 1).numpy())
        arrays |= {f"{i}/logits": logits.numpy()}
    return arrays


def _kept(key: str, output: np.ndarray) -> dict[str, np.ndarray]:
    return {
        key: output.reshape(-1)[draw.positions(output.size)],
        f"{key}/largest": np.abs(output).max(),
        f"{key}/shape": np.array(output.shape),
    }


if __name__ == "__main__":
    main()
