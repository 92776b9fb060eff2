"""Published weights as a whole network: from the file alone, in either convention of pixels, and the real ones."""

import json

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from reference import draw, ours, ours_vit

from tests import small
from tljax.core.types import Card
from tljax.networks.families import resnet
from tljax.serving import published_model
from tljax.serving.predictor import Predictor

CAFFE = Card(mean=(103.939, 116.779, 123.68), std=(1.0,) * 3, scale=1.0, channel_order="BGR", size=32, crop=0.8)
CLASSES = {"ants": 310, "bees": 309}  # of ImageNet


def load(path, **options):
    return published_model.load(str(path), lock=path, **options)[0]


def write(path, arrays, card):
    safetensors.numpy.save_file(arrays, path)
    path.with_suffix(".card.json").write_text(json.dumps(card.as_dict()))
    return path


@pytest.fixture
def arrays(monkeypatch):
    """Of a tiny ResNet, in torchvision's names."""
    monkeypatch.setitem(resnet.VARIANTS, "tiny", small.TINY)
    return draw.weights({name: (4, *s[1:]) if name == "fc.weight" else (4,) if name == "fc.bias" else s
                         for name, s in ours.published_shapes("tiny").items()})  # fmt: skip


def test_caffes_pixels_are_bgr_from_0_to_255_less_their_means(arrays, tmp_path):
    model = load(write(tmp_path / "net.safetensors", arrays, CAFFE))
    assert (model.family, model.variant, model.input) == (
        "resnet", "tiny", {"resize": 40, "crop": 32, "size": 32, "channels": 3}
    )  # fmt: skip
    image = np.zeros((1, 40, 40, 3), np.uint8)
    image[..., :] = 255, 100, 1  # R, G, B
    found = np.asarray(model.asked.prepare({"image": image}, None, False)["inputs"])
    assert found.shape == (1, 32, 32, 3)
    np.testing.assert_allclose(found[0, 5, 7], [1 - 103.939, 100 - 116.779, 255 - 123.68], rtol=1e-6)


def logits(path, picture):
    model = load(path)
    return Predictor(model, batch_size=1)(model.asked.read(picture)[None])[0]


def test_the_same_network_in_both_conventions(arrays, tmp_path):
    """With Caffe's means over 255 and std 2 / 255, torch's pixels are half of Caffe's, channels the other way round."""
    torchs = Card(mean=tuple(m / 255 for m in reversed(CAFFE.mean)), std=(2 / 255,) * 3, size=32, crop=0.8)
    kernel = np.ascontiguousarray(2 * arrays["conv1.weight"][:, ::-1])
    picture = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)).save(picture)
    caffe = logits(write(tmp_path / "caffe.safetensors", arrays, CAFFE), picture)
    torch = logits(write(tmp_path / "torch.safetensors", arrays | {"conv1.weight": kernel}, torchs), picture)
    wrong = logits(write(tmp_path / "wrong.safetensors", arrays, torchs), picture)
    assert ours.difference(torch, caffe) < 1e-5 and ours.difference(wrong, caffe) > 0.1


def test_two_classifiers_of_a_distilled_deit_answer_as_one(tmp_path):
    with ours_vit.cut("deit_tiny16_distilled", depth=1) as variant:
        arrays = draw.weights(ours_vit.timm_shapes(variant, (32, 32), classes=5))
        path = write(tmp_path / "net.safetensors", arrays, Card(mean=(0.5,) * 3, std=(0.5,) * 3, size=32, crop=1.0))
        model = load(path)
    assert (model.family, len(model.classes)) == ("vit", 5)
    assert model.variables["params"]["head"]["kernel"].shape == (2 * 192, 5)


# torch's evaluation: shorter side to 256, the central 224; counts that the weights' reference implementations reach.
@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "stats", "least"),
    [
        ("vit_tiny_patch16_224", ((0.5,) * 3, (0.5,) * 3), {"ants": 59, "bees": 69}),
        ("resnet18_imagenet", ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), {"ants": 45, "bees": 64}),
    ],
)
def test_real_weights_know_ants_and_bees(shared, tmp_path, name, stats, least):
    weights = tmp_path / f"{name}.safetensors"
    weights.symlink_to(shared / "weights" / f"{name}.safetensors")
    card = Card(mean=stats[0], std=stats[1], size=224, crop=0.875)
    weights.with_suffix(".card.json").write_text(json.dumps(card.as_dict()))
    predictor = Predictor(load(weights), batch_size=32)
    for kind, label in CLASSES.items():
        files = sorted((shared / "data" / "ants_bees" / "val" / kind).iterdir())
        right = sum(int(np.argmax(answer)) == label for _, answer in predictor.answers(files))
        print(f"{name}: {right} of {len(files)} {kind}")
        assert right >= least[kind]
