"""torchvision's FCN, DeepLabV3 and FCOS, live: a file of their state, loaded as a run loads it, says the same here."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from reference import draw

from configs import default
from tljax.core.plugins import find
from tljax.core.types import EVALUATE
from tljax.networks import network
from tljax.networks.segmentation.heads import enlarged
from tljax.runs import experiment
from tljax.tasks import head_of
from tljax.weights import pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
import safetensors.torch  # noqa: E402
from reference import torch_vision  # noqa: E402

torch_vision.declare()
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed; `make parity` installs it")

CLASSES = 5
SHAPE = {"segmentation": (96, 128), "detection": (128, 256)}  # torchvision's strides are whole numbers on these


def of_torchvision(name):
    """The network with weights of its own drawing, and statistics that differ from 0 and 1."""
    torch.manual_seed(0)
    if name == "fcos":
        model = torchvision.models.detection.fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=CLASSES)
    else:
        make = getattr(torchvision.models.segmentation, f"{name}_resnet50")
        model = make(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)
    generator = torch.Generator().manual_seed(0)
    for key, tensor in model.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.ndim == 1 and tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape, generator=generator) * 0.2)
    return model.eval()


def config_of(file, task, **options):
    config = default.get_config()
    config.model.update(family="resnet", variant="auto", weights=str(file), keep_head=True)
    config.data.channels = 3
    with config.unlocked():
        config.task = ConfigDict({key: one.default for key, one in find("tasks", task).OPTIONS.items()} | options)
        config.task.name = task
        image = find("inputs", "image")
        config.data.update({key: one.default for key, one in image.OPTIONS.items()})
        config.data.shape = SHAPE[task]
    return config


def loaded(model, task, folder, **options):
    """(The network, its variables, the paths that begin at random), by a run's own road."""
    file = folder / "model.safetensors"
    safetensors.torch.save_file(model.state_dict(), file)
    card = {"mean": [0.4] * 3, "std": [0.2] * 3, "size": 128, "crop": 1.0}
    file.with_suffix(".card.json").write_text(json.dumps(card))
    config, family = config_of(file, task, **options), find("families", "resnet")
    known = pretrained.fetch(config.model, wanted=True)
    one = find("tasks", task).from_training(config.task, None, [str(i) for i in range(CLASSES)])
    built = network.build(
        partial(network.plain, partial(head_of, one, CLASSES)), family, known.variant, known.published, config.model,
        axis=None,
    )  # fmt: skip
    built, variables, drawn = experiment._start(one, family, built, known, frozenset(), config)
    return built.network, variables, drawn, known


@pytest.mark.parametrize("name", ["fcn", "deeplabv3"])
def test_segmentation(name, tmp_path):
    model = of_torchvision(name)
    net, variables, drawn, known = loaded(model, "segmentation", tmp_path, head=name.removesuffix("v3"))
    assert known.variant == "50_dilated" and drawn == ()
    x = draw.image((2, *SHAPE["segmentation"], 3))
    with torch.inference_mode():
        expected = model(torch.from_numpy(x.transpose(0, 3, 1, 2)))["out"].numpy().transpose(0, 2, 3, 1)
    logits = jax.jit(partial(net.apply, mode=EVALUATE))(variables, x)
    assert logits.shape == (2, 12, 16, CLASSES)
    np.testing.assert_allclose(
        enlarged(logits, SHAPE["segmentation"]), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


def test_detection(tmp_path):
    model = of_torchvision("fcos")
    net, variables, drawn, known = loaded(model, "detection", tmp_path, place=0.0)
    assert known.variant == "50" and drawn == ()
    x = draw.image((2, *SHAPE["detection"], 3))
    with torch.inference_mode():
        pixels = torch.from_numpy(x.transpose(0, 3, 1, 2))
        levels = list(model.backbone(pixels).values())
        expected = {key: value.numpy() for key, value in model.head(levels).items()}
        images = torchvision.models.detection.image_list.ImageList(pixels, [SHAPE["detection"]] * 2)
        anchors = model.anchor_generator(images, levels)
        sides = torch.from_numpy(expected["bbox_regression"])
        boxes = torch.stack([model.box_coder.decode(one, place) for one, place in zip(sides, anchors, strict=True)])
    found = jax.jit(partial(net.apply, mode=EVALUATE))(variables, jnp.asarray(x))
    expected["boxes"] = boxes.numpy()[..., [1, 0, 3, 2]]
    pairs = {
        "logits": "cls_logits", "centre": "bbox_ctrness", "boxes": "boxes",
    }  # fmt: skip
    for ours, theirs in pairs.items():
        other = expected[theirs].reshape(found[ours].shape)
        np.testing.assert_allclose(found[ours], other, rtol=0, atol=1e-5 * np.abs(other).max(), err_msg=ours)


def test_classes_of_ones_own_begin_at_random_and_the_rest_does_not(tmp_path):
    model = of_torchvision("fcn")
    model.classifier[4] = torch.nn.Conv2d(512, CLASSES + 1, 1)
    _, variables, drawn, _ = loaded(model, "segmentation", tmp_path, head="fcn")
    assert set(drawn) == {"head/classifier/kernel", "head/classifier/bias"}
    kernel = variables["params"]["head"]["inner"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel, model.classifier[0].weight.detach().numpy().transpose(2, 3, 1, 0))
