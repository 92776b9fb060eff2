"""What `safetensors-torch` writes, in torch: loaded strictly under the published names, with the live probabilities."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
import safetensors.numpy
from reference import draw, ours, ours_text, ours_vit
from reference import vgg_convnext as shared

from tests import small
from tljax.core.plugins import find
from tljax.core.types import Card
from tljax.data.inputs import tokens as inputs
from tljax.networks.families import convnext, mobilenet, vgg
from tljax.networks.network import Network
from tljax.serving import exports, published_model, saved_model
from tljax.serving.predictor import Predictor
from tljax.tasks import classification
from tljax.tasks.classification import outputs as softmax

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
import safetensors.torch  # noqa: E402
from reference import torch_convnext, torch_mobile, torch_resnet, torch_vgg, torch_vit  # noqa: E402

CARD = Card(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=64, crop=1.0)


def drawn_resnet(variant):
    """Arrays under their published names, for 10 classes."""
    shapes = ours.published_shapes(variant) | {"fc.bias": (10,)}
    return draw.weights(shapes | {"fc.weight": (10, shapes["fc.weight"][1])})


def drawn(family, variant, **sizes):
    return shared.drawn_arrays(family, shared.network(family, variant, **sizes))


def drawn_vit(variant):
    return draw.weights(ours_vit.timm_shapes(variant, (64, 64), classes=10))


# Arrays, and the written-out module that is to load what is exported of them.
NETWORKS = {
    **{f"resnet-{variant}": (partial(drawn_resnet, variant), partial(torch_resnet.ResNet, variant, classes=10))
       for variant in ("18", "resnext50_32x4d")},
    "vgg-11_bn": (partial(drawn, vgg, "11_bn", **shared.NARROW), partial(torch_vgg.VGG, "11_bn", **shared.NARROW)),
    "convnext-tiny": (partial(drawn, convnext, "tiny", **shared.NARROW),
                      partial(torch_convnext.ConvNeXt, "tiny", **shared.NARROW)),
    "mobilenet-v3_small": (partial(drawn, mobilenet, "v3_small", classes=10),
                           partial(torch_mobile.Net, "v3_small", classes=10)),
    **{f"vit-{variant}": (partial(drawn_vit, variant), partial(torch_vit.ViT, variant, size=(64, 64), classes=10))
       for variant in ("tiny16", "tiny32_gap", "deit_tiny16_distilled")},
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_loads_it_strictly_and_says_the_same(name, tmp_path):
    arrays, module = NETWORKS[name]
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    safetensors.numpy.save_file(arrays(), first)
    first.with_suffix(".card.json").write_text(json.dumps(CARD.as_dict()))
    model, _, _ = published_model.load(str(first), lock=tmp_path / "lock.json")
    assert model.family == name.partition("-")[0]
    exports.save(model, "safetensors-torch", second)
    images = np.random.default_rng(0).integers(0, 256, (3, *model.stored), np.uint8)
    pixels = (images / np.float32(255) - np.float32(CARD.mean)) / np.float32(CARD.std)
    reference = module().eval()
    reference.load_state_dict(safetensors.torch.load_file(second))
    with torch.inference_mode():
        _, logits = reference(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
    found, expected = softmax(Predictor(model, batch_size=3)(images)), torch.softmax(logits, dim=-1).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ours_text.FAMILIES)
def test_transformers_loads_a_text_encoder_and_says_the_same(family, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = small.word_tokenizer(tmp_path / "run")
    module, head = find("families", family), classification.head(3)
    shape = dataclasses.replace(ours_text.narrow(family, vocabulary=len(small.WORDS)), padding=None)
    if family == "roberta":
        shape = dataclasses.replace(shape, padding=0)  # the tokenizer's
    network = Network(module.build(shape), head)
    variables = ours_text.placed(family, network, draw.weights(ours_text.published_shapes(family, network)))
    asked = inputs.reopen(tokenizer, {"lengths": [8, 16], "pairs": False}, card=CARD, backbone=network.backbone)
    names, classes = tuple(module.names(shape)), ("a", "b", "c")
    model = saved_model.Model(
        family=family, task=classification, variant=shape, network=network, variables=variables, names=names,
        classes=classes, card=CARD, input={"lengths": [8, 16], "pairs": False}, asked=asked,
    )  # fmt: skip
    exports.save(model, "safetensors-torch", tmp_path / "out" / "model.safetensors")
    texts = ["very good", "bad book", "very very very good book"]
    found = Predictor(model, batch_size=3)([asked.read(text) for text in texts])

    loaded, report = transformers.AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not [name for name in report["missing_keys"] if not name.startswith("pooler")]
    told = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")(texts, padding=True, return_tensors="pt")
    told = {key: told[key] for key in ("input_ids", "attention_mask")}
    if family not in ("electra", "deberta"):  # whose pooler is of the classifier
        with torch.inference_mode():
            out = loaded.eval()(**told)
        pooled = out.pooler_output if shape.pooling == "pooler" else out.last_hidden_state[:, 0]
        kernel, bias = (np.asarray(variables["params"]["head"][key]) for key in ("kernel", "bias"))
        np.testing.assert_allclose(found, pooled.numpy() @ kernel + bias, rtol=0, atol=1e-5 * np.abs(found).max())
    if family in ("bert", "electra", "deberta"):
        whole = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
        with torch.inference_mode():
            logits = whole(**told).logits.numpy()
        np.testing.assert_allclose(found, logits, rtol=0, atol=1e-5 * np.abs(found).max())
        assert whole.config.id2label == dict(enumerate(classes))
