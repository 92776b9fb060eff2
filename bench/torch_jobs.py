"""Whole jobs as a good torch script does them: what bench/jobs.py compares with. `python bench/torch_jobs.py JOB ...`.

Pictures are decoded once, a frozen backbone runs once, and nothing is computed that the result does not need.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from reference import torch_resnet  # pyright: ignore[reportMissingImports]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pictures(folder: Path, resize: int, crop: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All pictures of class folders, uint8 (N, 3, crop, crop), and their labels (N,)."""
    from PIL import Image

    images, labels = [], []
    for label, place in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for file in sorted(place.iterdir()):
            if file.suffix.lower() not in (".jpg", ".jpeg", ".png"):
                continue
            image = Image.open(file).convert("RGB")
            scale = resize / min(image.size)
            image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
            left, top = ((side - crop) // 2 for side in image.size)
            images.append(np.asarray(image.crop((left, top, left + crop, top + crop))))
            labels.append(label)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def normalised(x: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(value)[None, :, None, None] for value in (MEAN, STD))
    return (x.float() / 255 - mean) / std


class Classifier(torch_resnet.ResNet):
    """A ResNet-18 with published weights and a new head: pictures to logits."""

    def __init__(self, weights: Path, classes: int) -> None:
        super().__init__("18")
        self.load_state_dict(safetensors.torch.load_file(weights))
        self.fc = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[1]


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor, prepare=lambda x: x) -> float:
    model.eval()
    with torch.inference_mode():
        right = sum(int((model(prepare(x[i : i + 64])).argmax(1) == y[i : i + 64]).sum()) for i in range(0, len(x), 64))
    return right / len(x)


def fit(model: nn.Module, parts, *, epochs: int, batch: int, lr: float, prepare=lambda x: x) -> None:
    """SGD with momentum; prints the accuracy of the test part."""
    (x, y), (test, labels) = parts
    sgd = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(x)).split(batch)[: len(x) // batch]:
            sgd.zero_grad(set_to_none=True)
            functional.cross_entropy(model(prepare(x[rows])), y[rows]).backward()
            sgd.step()
    print(f"test accuracy {accuracy(model, test, labels, prepare):.4f}")


def ants(args: argparse.Namespace) -> None:
    """A linear probe on photographs of ants and bees: 10 epochs on features."""
    model = Classifier(args.weights / "resnet18_imagenet.safetensors", 2).eval()
    head, model.fc = model.fc, nn.Identity()
    parts = []
    for part in ("train", "val"):
        x, y = pictures(args.data / "ants_bees" / part, 256, 224)
        with torch.inference_mode():
            features = torch.cat([model(normalised(some)) for some in x.split(64)])
        parts.append((features.clone(), y))
    fit(head, parts, epochs=10, batch=16, lr=0.001)


def cifar(args: argparse.Namespace) -> None:
    """All parameters learn on CIFAR-10 at 96 pixels, `--epochs` over 4,000 pictures."""
    model = Classifier(args.weights / "resnet18_imagenet.safetensors", 10)
    parts = [pictures(args.data / "cifar10_4000" / part, 32, 32) for part in ("train", "test")]
    grown = lambda x: functional.interpolate(normalised(x), size=(96, 96), mode="bilinear")  # noqa: E731
    fit(model, parts, epochs=args.epochs, batch=64, lr=0.01, prepare=grown)


JOBS = {"ants": ants, "cifar": cifar}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    JOBS[args.job](args)


if __name__ == "__main__":
    main()
