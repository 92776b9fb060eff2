"""DeBERTa-v3: published sizes and names, and a run in which its distances are frozen. Its numbers: test_bert.py.

What it computes: test_disentangled.py.
"""

import json

import numpy as np
import pytest
import safetensors.numpy
from reference import ours_text

from tests import small
from tests.runs.test_text_runs import config, written
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.data.inputs import tokens as inputs
from tljax.networks.disentangled import Variant
from tljax.networks.families import deberta
from tljax.networks.network import Network
from tljax.runs.run import run
from tljax.tasks import classification
from tljax.weights import placement

CONFIG = deberta.describe(ours_text.narrow("deberta"), ())


def test_words_and_distances_are_all_that_is_embedded():
    net = ours_text.network(deberta.VARIANTS["base"])
    leaves = flatten(placement.shapes(net, ours_text.tokens("deberta"))["params"])
    assert {path: leaf.shape for path, leaf in leaves.items() if path.startswith("backbone/embed")} == {
        "backbone/embed/word/embedding": (128_100, 768),
        "backbone/embed/norm/scale": (768,),
        "backbone/embed/norm/bias": (768,),
        "backbone/embed/distance/embedding": (512, 768),
        "backbone/embed/distance_norm/scale": (768,),
        "backbone/embed/distance_norm/bias": (768,),
    }


def test_layers_that_a_config_asks_for_have_their_published_names():
    more = deberta.infer({}, CONFIG | {"share_att_key": False, "conv_kernel_size": 3, "type_vocab_size": 2})
    paths = {row.published: (row.path, row.layout) for row in deberta.names(more)}
    for theirs, expected in {
        "encoder.conv.conv.weight": ("backbone/block0/conv/kernel", "conv over tokens"),
        "encoder.conv.LayerNorm.weight": ("backbone/block0/norm3/scale", "same"),
        "encoder.layer.1.attention.self.pos_key_proj.weight": (
            "backbone/block1/attention/distance_key/kernel",
            "dense",
        ),
        "encoder.LayerNorm.bias": ("backbone/embed/distance_norm/bias", "same"),
        "embeddings.token_type_embeddings.weight": ("backbone/embed/type/embedding", "same"),
    }.items():
        assert paths[f"deberta.{theirs}"] == expected
    fewer = {row.published for row in deberta.names(ours_text.narrow("deberta", distance_norm="none"))}
    assert not [
        name for name in fewer if "pos_key" in name or "conv" in name or name == "deberta.encoder.LayerNorm.bias"
    ]


def test_a_config_json_of_another_kind_is_refused():
    for said, text in (
        ({"relative_attention": False}, "relative_attention 'False', not 'True'"),
        ({"position_biased_input": True}, "position_biased_input 'True', not 'False'"),
        ({"pooler_hidden_act": "tanh"}, "pooler_hidden_act 'tanh', not 'gelu'"),
        ({"model_type": "deberta"}, "model_type 'deberta', not 'deberta-v2'"),
    ):
        with pytest.raises(ConfigError, match=text):
            deberta.infer({}, CONFIG | said)
    with pytest.raises(ConfigError, match="missing: relative_attention"):  # which transformers takes for false
        deberta.infer({}, {key: value for key, value in CONFIG.items() if key != "relative_attention"})


def test_what_a_config_json_leaves_out_has_transformers_default():
    left = {key: value for key, value in CONFIG.items() if key not in deberta.DEFAULTED.values()}
    found = deberta.infer({}, left)
    assert (found.kinds, found.shared, found.distance_norm, found.buckets, found.span) == ("", False, "none", -1, 24)
    assert deberta.infer({}, left | {"pos_att_type": ["c2p", "p2c"]}).kinds == "c2p|p2c"


def test_the_head_over_words_has_two_spellings():
    older = ("transform.dense.weight", "transform.LayerNorm.bias", "bias", "decoder.weight")
    found = deberta.adapt({f"cls.predictions.{name}": np.zeros(1, np.float32) for name in older})
    names = ("dense.weight", "LayerNorm.bias", "bias", "decoder.weight")
    assert set(found) == {f"lm_predictions.lm_head.{name}" for name in names}


def test_a_run_with_a_frozen_embed_leaves_its_table_as_it_was(tmp_path, monkeypatch):
    root = written(tmp_path, monkeypatch)
    words = len(small.WORDS)
    shape = Variant(16, 2, 2, 32, words, 32, buckets=8, kinds="p2c|c2p", shared=True, distance_norm="layer_norm")
    monkeypatch.setitem(deberta.VARIANTS, "test", shape)
    rows = [row for row in deberta.names("test") if not row.path.startswith("head/")]
    variables = placement.init(Network(deberta.build("test"), classification.head(2)), inputs.example(), seed=1)
    safetensors.numpy.save_file(placement.publish(variables, rows), root / "bert" / "model.safetensors")
    (root / "bert" / "config.json").write_text(json.dumps(deberta.describe("test", ())))
    changes = {"model__family": "deberta", "model__variant": "auto", "data__lengths": (16,), "train__epochs": 2.0}
    run(config(root, strategy__name="last_k", strategy__last_k=1, **changes), root / "run")
    saved = safetensors.numpy.load_file(root / "run" / "model" / "model.safetensors")
    begun = safetensors.numpy.load_file(root / "bert" / "model.safetensors")
    moved = {name for name in begun if not np.array_equal(begun[name], saved[name])}
    assert moved and all(name.startswith("deberta.encoder.layer.1.") for name in moved)
