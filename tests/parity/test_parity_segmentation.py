"""FCN's and DeepLabV3's heads against torch: torchvision's definitions, written with torch's own layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.core.types import EVALUATE
from tljax.networks.segmentation.heads import RATES, WIDTH, DeepLab, Fcn, enlarged
from tljax.networks.segmentation.losses import cross_entropy
from tljax.networks.stage_maps import StageMap

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

CHANNELS, CLASSES, SIDE = 32, 5, 14


def conv_bn(inside, outside, size=1, rate=1):
    padding = rate * (size // 2)
    return [
        torch.nn.Conv2d(inside, outside, size, padding=padding, dilation=rate, bias=False),
        torch.nn.BatchNorm2d(outside),
        torch.nn.ReLU(),
    ]


class TorchDeepLab(torch.nn.Module):
    """torchvision.models.segmentation.deeplabv3.DeepLabHead."""

    def __init__(self):
        super().__init__()
        block = torch.nn.Sequential
        branches = [block(*conv_bn(CHANNELS, WIDTH)), *(block(*conv_bn(CHANNELS, WIDTH, 3, rate)) for rate in RATES)]
        self.branches = torch.nn.ModuleList(branches)
        self.whole = block(torch.nn.AdaptiveAvgPool2d(1), *conv_bn(CHANNELS, WIDTH))
        self.project = block(*conv_bn(5 * WIDTH, WIDTH), torch.nn.Dropout(0.5))
        self.inner = block(*conv_bn(WIDTH, WIDTH, 3))
        self.classifier = torch.nn.Conv2d(WIDTH, CLASSES, 1)

    def forward(self, x):
        found = [branch(x) for branch in self.branches]
        size = {"size": x.shape[-2:], "mode": "bilinear", "align_corners": False}
        found.append(torch.nn.functional.interpolate(self.whole(x), **size))
        return self.classifier(self.inner(self.project(torch.cat(found, 1))))


def torch_fcn():
    inner = CHANNELS // 4
    return torch.nn.Sequential(*conv_bn(CHANNELS, inner, 3), torch.nn.Dropout(0.1), torch.nn.Conv2d(inner, CLASSES, 1))


def arrays(conv, bn=None):
    """(parameters, statistics) of a convolution, and of a BatchNorm."""
    kernel = conv.weight.detach().numpy().transpose(2, 3, 1, 0)
    if bn is None:
        return {"kernel": kernel, "bias": conv.bias.detach().numpy()}, {}
    of = {name: getattr(bn, name).detach().numpy() for name in ("weight", "bias", "running_mean", "running_var")}
    params = {"conv": {"kernel": kernel}, "bn": {"scale": of["weight"], "bias": of["bias"]}}
    return params, {"bn": {"mean": of["running_mean"], "var": of["running_var"]}}


def variables(blocks, classifier):
    """Our variables from {name: (convolution, BatchNorm)}."""
    found = {name: arrays(*pair) for name, pair in blocks.items()}
    params = {name: params for name, (params, _) in found.items()} | {"classifier": arrays(classifier)[0]}
    return {"params": params, "batch_stats": {name: stats for name, (_, stats) in found.items()}}


def random(model):
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 1.5, generator=generator)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.uniform_(tensor, -0.3, 0.3, generator=generator)
    return model.eval()


@pytest.mark.parametrize("name", ["fcn", "deeplab"])
def test_heads(name):
    torch.manual_seed(0)
    model = random(torch_fcn() if name == "fcn" else TorchDeepLab())
    if name == "fcn":
        ours, classifier = Fcn, model[4]
        blocks = {"inner": (model[0], model[1])}
    else:
        ours, classifier = DeepLab, model.classifier
        blocks = {f"branch{i}": (one[0], one[1]) for i, one in enumerate(model.branches)}
        blocks |= {"whole": (model.whole[1], model.whole[2]), "project": (model.project[0], model.project[1])}
        blocks["inner"] = (model.inner[0], model.inner[1])
    head = ours(CLASSES, (StageMap("stage4", 8, CHANNELS),))
    x = np.random.default_rng(0).normal(size=(2, SIDE, SIDE, CHANNELS)).astype(np.float32)
    found = head.apply(variables(blocks, classifier), {"stage4": jnp.asarray(x)}, EVALUATE)
    with torch.no_grad():
        logits = model(torch.from_numpy(x.transpose(0, 3, 1, 2)))
        size = {"size": (112, 100), "mode": "bilinear", "align_corners": False}
        large = torch.nn.functional.interpolate(logits, **size)
    np.testing.assert_allclose(found, logits.numpy().transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(enlarged(found, (112, 100)), large.numpy().transpose(0, 2, 3, 1), atol=1e-5)


def test_cross_entropy_with_weights_and_ignored_pixels():
    rng = np.random.default_rng(1)
    logits, label = rng.normal(size=(1, 9, 8, CLASSES)).astype(np.float32), rng.integers(0, CLASSES, (1, 9, 8))
    label[0, :2], weights = 255, rng.uniform(0.5, 2, CLASSES).astype(np.float32)
    theirs = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits.transpose(0, 3, 1, 2)), torch.from_numpy(label), torch.from_numpy(weights),
        ignore_index=255,
    )  # fmt: skip
    ours = jax.jit(cross_entropy)(logits, label, weights)
    np.testing.assert_allclose(ours[0], theirs.item(), rtol=1e-5)
