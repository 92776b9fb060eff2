"""The towers for texts of CLIP, SigLIP and TIPSv2: names, sizes, spellings. Their numbers: test_parity_towers.py."""

import math

import numpy as np
import pytest

from tests import two_towers
from tljax.core.errors import ConfigError, WeightsError
from tljax.core.trees import flatten
from tljax.core.types import Card, Published
from tljax.networks.families import text_tower
from tljax.networks.network import Network
from tljax.networks.towers import names as tower_names
from tljax.networks.towers.text import Variant
from tljax.tasks import classification
from tljax.weights import layouts, placement

# Without a classifier, as transformers counts CLIPTextModelWithProjection and SiglipTextModel.
PARAMETERS = {
    "clip_base": 63_428_096,
    "clip_large": 123_650_304,
    "siglip_base": 110_271_744,
    "siglip2_base": 282_303_744,
    "tipsv2_base": 109_632_000,
}


def tokens(rows, length):
    ids = np.zeros((len(rows), length), np.int32)
    for row, text in zip(ids, rows, strict=True):
        row[: len(text)] = text
    return {"ids": ids, "mask": np.arange(length) < np.array([[len(row)] for row in rows]), "types": np.zeros_like(ids)}


def placed(kind, arrays):
    shape = two_towers.shape(kind)
    network = Network(text_tower.build(shape), classification.head(2))
    published = Published(text_tower.adapt(arrays), Card(mean=(), std=()), "a file")
    table, unused = text_tower.names(shape), text_tower.UNUSED
    x = tokens([[5, 6, 7]], 8)
    return network, placement.start(network, x, seed=0, published=published, names=table, unused=unused)[0]


@pytest.mark.parametrize("variant", text_tower.VARIANTS)
def test_the_table_names_every_parameter_once(variant):
    shape, rows = text_tower.VARIANTS[variant], text_tower.names(variant)
    network = Network(text_tower.build(variant), classification.head(3))
    leaves = flatten(placement.shapes(network, tokens([[1]], 8))["params"])
    assert sorted(leaves) == sorted(row.path for row in rows)
    assert len(rows) == len({row.published for row in rows})
    count = sum(math.prod(leaf.shape) for path, leaf in leaves.items() if path.startswith("backbone"))
    assert count == PARAMETERS.get(variant.removesuffix("_quick"), count)
    sizes = {row.published: layouts.published_shape(leaves[row.path].shape, row.layout) for row in rows}
    arrays = {name: np.broadcast_to(np.float32(0), size) for name, size in sizes.items()}
    acts = {ours: theirs for theirs, ours in text_tower.ACTIVATIONS.items()}
    told = {"hidden_act": acts[shape.activation], "num_attention_heads": shape.heads}
    assert text_tower.infer(arrays, {"text_config": told}) == shape


def test_openais_names_hold_the_same_tensors():
    arrays = two_towers.text_arrays("clip")
    openai = {"positional_embedding": arrays["text_model.embeddings.position_embedding.weight"],
              "token_embedding.weight": arrays["text_model.embeddings.token_embedding.weight"],
              "text_projection": arrays["text_projection.weight"].T, "logit_scale": np.ones(())}  # fmt: skip
    for leaf in ("weight", "bias"):
        openai[f"ln_final.{leaf}"] = arrays[f"text_model.final_layer_norm.{leaf}"]
        for i in range(2):
            theirs, ours = f"transformer.resblocks.{i}", f"text_model.encoder.layers.{i}"
            parts = [arrays[f"{ours}.self_attn.{letter}_proj.{leaf}"] for letter in "qkv"]
            openai[f"{theirs}.attn.in_proj_{leaf}"] = np.concatenate(parts)
            pairs = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
                     "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}  # fmt: skip
            openai |= {f"{theirs}.{a}.{leaf}": arrays[f"{ours}.{b}.{leaf}"] for a, b in pairs.items()}
    found = tower_names.transformers(openai)
    assert {*found} == {*arrays, "logit_scale"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("kind", ["clip", "siglip", "tips"])
def test_a_texts_vector_does_not_depend_on_padding(kind):
    network, variables = placed(kind, two_towers.text_arrays(kind))
    short = network.apply(variables, tokens([[5, 6, 7], [8, 9, 3]], 3), method="features")
    long = network.apply(variables, tokens([[5, 6, 7], [8, 9, 3]], 12), method="features")
    assert np.ptp(short, axis=0).max() > 1e-3
    np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-6)


def test_a_tower_alone_has_names_without_the_first_word():
    arrays = two_towers.text_arrays("siglip")
    alone = {name.removeprefix("text_model."): x for name, x in arrays.items()}
    assert {*text_tower.adapt(alone)} == {*arrays}
    pictures = {"embeddings.patch_embedding.weight": np.ones(1), "encoder.layers.0.layer_norm1.weight": np.ones(1)}
    assert {*text_tower.adapt(pictures)} == {*pictures}


def test_sizes_that_fit_no_tower_are_refused():
    with pytest.raises(ConfigError, match=r"one of causal .* got width 8, 2 heads, 'gelu', causal True, padding 1"):
        Variant(8, 2, 1, 8, padding=1)
    with pytest.raises(WeightsError, match=r"do not show the heads and the activation.*config\.json of transformers"):
        text_tower.infer(two_towers.text_arrays("clip"), None)
    with pytest.raises(WeightsError, match=r"hidden_act of a tower.*got 'silu'"):
        text_tower.infer(two_towers.text_arrays("clip"), {"text_config": {"hidden_act": "silu"}})
    with pytest.raises(WeightsError, match="scale_sqrt_depth is false"):
        text_tower.infer(two_towers.text_arrays("tips"), {"text_config": {"scale_sqrt_depth": False}})


def test_the_first_config_of_tipsv2_has_other_words():
    told = {"model_type": "tipsv2", "text_num_heads": 2, "max_len": 30, "temperature": 0.004}
    assert text_tower.infer(two_towers.text_arrays("tips"), told) == two_towers.shape("tips")
