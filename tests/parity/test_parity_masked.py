"""Masked language modelling against transformers' torch heads, on drawn weights and padded texts, live."""

import dataclasses
import json
from typing import Any

import jax
import numpy as np
import pytest
from reference import draw, ours, ours_text

from tljax.tasks import masked_lm
from tljax.weights import placement
from tljax.weights.sources import file

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")
from reference import torch_text  # noqa: E402


def theirs(family: str) -> Any:
    """transformers' network with drawn weights, those of its head too; the last layer is the word embeddings."""
    model = getattr(transformers, f"{torch_text.CLASSES[family]}ForMaskedLM")(
        torch_text.config(family, **torch_text.narrow(family))
    )
    arrays = draw.weights({name: tuple(leaf.shape) for name, leaf in model.named_parameters()})
    with torch.no_grad():
        for name, leaf in model.named_parameters():
            leaf.copy_(torch.from_numpy(arrays[name]))
    if family != "deberta":  # which takes them as an argument
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return model.eval()


@pytest.mark.parametrize("family", ours_text.FAMILIES)
def test_logits_loss_and_gradients_of_what_transformers_saves(family, tmp_path):
    model, module = theirs(family), ours_text.FAMILIES[family]
    model.save_pretrained(tmp_path)
    arrays = file.read(str(tmp_path / "model.safetensors"), card=ours.published({}).card).arrays
    shape = module.infer(arrays, json.loads((tmp_path / "config.json").read_text()))
    shape = dataclasses.replace(shape, dropout=0.0, attention_dropout=0.0)
    published = ours.published(arrays)
    built = masked_lm.build(module, shape, published, dtype=np.float32, bn_axis=None)
    assert built.published_head

    x, places = ours_text.tokens(family, (4, 12)), np.tile(np.arange(12, dtype=np.int32), (4, 1))
    weight = x["mask"] / x["mask"].sum(1, keepdims=True).astype(np.float32)  # every token is asked about
    given = {**x, "places": places, "weight": weight}
    variables, drawn = placement.start(
        built.network, given, seed=0, published=published, names=built.names, unused=module.UNUSED, adapt=module.adapt,
        head=True,
    )  # fmt: skip
    assert drawn == ()
    answers = np.where(x["mask"], (x["ids"] * 7 + 3) % 50, 0).astype(np.int32)

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        said = built.network.apply({"params": params}, given)
        return masked_lm.loss(said, {"ids": answers}, None), said["logits"]

    (loss, logits), grads = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(variables["params"])
    model = model.double()
    tokens = {name: torch.from_numpy(array) for name, array in x.items()}
    types = {"token_type_ids": tokens["types"]} if family in torch_text.TYPED else {}
    expected = model(tokens["ids"], attention_mask=tokens["mask"].int(), **types).logits
    labels = torch.from_numpy(answers).long().flatten()
    nats = torch.nn.functional.cross_entropy(expected.flatten(0, 1), labels, reduction="none")
    total = (nats * torch.from_numpy(weight).double().flatten()).sum() / 4
    total.backward()
    mask = x["mask"][..., None]
    assert ours.difference(np.asarray(logits) * mask, expected.detach().numpy() * mask) <= 1e-5
    assert ours.difference(loss, total.item()) <= 1e-5
    found, parameters = placement.publish({"params": grads}, built.names), dict(model.named_parameters())
    assert found.keys() == parameters.keys()
    for name, leaf in parameters.items():
        if not name.endswith(("key.bias", "k_lin.bias")):  # 0, and what is left is rounding
            assert ours.difference(found[name], leaf.grad.numpy()) <= 1e-5, name


@pytest.mark.parametrize("family", ours_text.FAMILIES)
def test_transformers_reads_what_is_left_in_model(family, tmp_path):
    """Published again, the arrays are those of the file, and transformers misses none and knows all."""
    model, module = theirs(family), ours_text.FAMILIES[family]
    model.save_pretrained(tmp_path)
    published = ours.published(file.read(str(tmp_path / "model.safetensors"), card=ours.published({}).card).arrays)
    built = masked_lm.build(module, ours_text.narrow(family), published, dtype=np.float32, bn_axis=None)
    x = {**ours_text.tokens(family), "places": np.zeros((3, 1), np.int32), "weight": np.ones((3, 1), np.float32)}
    options = {"names": built.names, "unused": module.UNUSED, "adapt": module.adapt, "head": built.published_head}
    variables, _ = placement.start(built.network, x, seed=0, published=published, **options)
    arrays = placement.publish(variables, built.names)
    assert arrays.keys() == published.arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, published.arrays[name], err_msg=name)
