"""Published spellings of a text encoder's tensors, and the sizes that config.json or the tensors tell."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
from reference import draw, ours, ours_text

from tljax.core.errors import ConfigError, WeightsError
from tljax.networks.encoder import Variant
from tljax.networks.families import bert, deberta, distilbert, electra, roberta
from tljax.weights import placement

FAMILIES = tuple(ours_text.FAMILIES)
# The published config.json of bert-base-uncased, distilbert-base-uncased, roberta-base, electra-base-discriminator and
# deberta-v3-base, what counts here of them.
CONFIGS = {
    "bert": {
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "vocab_size": 30522,
    },
    "distilbert": {
        "activation": "gelu",
        "attention_dropout": 0.1,
        "dim": 768,
        "dropout": 0.1,
        "hidden_dim": 3072,
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 12,
        "n_layers": 6,
        "pad_token_id": 0,
        "vocab_size": 30522,
    },
    "roberta": {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514,
        "model_type": "roberta",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "type_vocab_size": 1,
        "vocab_size": 50265,
    },
    "electra": {
        "architectures": ["ElectraForPreTraining"],
        "attention_probs_dropout_prob": 0.1,
        "embedding_size": 768,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "electra",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": 30522,
    },
    "deberta": {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-07,
        "max_position_embeddings": 512,
        "max_relative_positions": -1,
        "model_type": "deberta-v2",
        "norm_rel_ebd": "layer_norm",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pos_att_type": "p2c|c2p",
        "position_biased_input": False,
        "position_buckets": 256,
        "relative_attention": True,
        "share_att_key": True,
        "type_vocab_size": 0,
        "vocab_size": 128100,
    },
}
POOLER = {"bert.pooler.dense.weight": np.zeros((768, 768), np.float32)}


def arrays(family: str) -> dict[str, np.ndarray]:
    return draw.weights(ours_text.published_shapes(family, ours_text.network(ours_text.narrow(family))))


def assert_same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# Spellings


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_alone_and_one_below_a_head_are_the_same_weights(family):
    published, module = arrays(family), ours_text.FAMILIES[family]
    alone = {name.removeprefix(f"{family}."): array for name, array in published.items()}
    assert len(alone) == len(published)
    assert set(alone) & set(published) == {name for name in published if not name.startswith(f"{family}.")}
    assert len(set(alone) & set(published)) == (4 if family in ("electra", "deberta") else 2)  # with a hidden layer
    before = dict(alone)
    assert_same(module.adapt(alone, None), published)
    assert_same(module.adapt(published, None), published)
    assert_same(alone, before)


def test_gamma_and_beta_of_older_files_are_weight_and_bias():
    older = {}
    for name, array in arrays("bert").items():
        layer, _, leaf = name.rpartition(".")
        norm = layer.endswith("LayerNorm")
        older[f"{layer}.{ ({'weight': 'gamma', 'bias': 'beta'}[leaf] if norm else leaf) }"] = array
    assert sum(name.endswith(("gamma", "beta")) for name in older) == 2 * (1 + 2 * 2)
    assert_same(bert.adapt(older, None), arrays("bert"))


@pytest.mark.parametrize(
    ("family", "extra"),
    [
        ("bert", "embeddings.position_ids"),
        ("bert", "bert.embeddings.position_ids"),
        ("bert", "cls.predictions.transform.LayerNorm.gamma"),
        ("bert", "cls.predictions.decoder.weight"),
        ("bert", "cls.seq_relationship.bias"),
        ("bert", "qa_outputs.weight"),
        ("roberta", "roberta.embeddings.position_ids"),
        ("roberta", "lm_head.layer_norm.weight"),
        ("roberta", "classifier.out_proj.weight"),
        ("distilbert", "vocab_projector.bias"),
        ("distilbert", "vocab_layer_norm.weight"),
        ("distilbert", "pre_classifier.weight"),
        ("electra", "electra.embeddings.position_ids"),
        ("electra", "discriminator_predictions.dense_prediction.bias"),
        ("electra", "generator_lm_head.weight"),
        ("electra", "generator_predictions.LayerNorm.bias"),
        ("deberta", "deberta.embeddings.position_ids"),
        ("deberta", "mask_predictions.classifier.weight"),
        ("deberta", "lm_predictions.lm_head.bias"),
        ("deberta", "cls.predictions.decoder.weight"),
    ],
)
def test_buffers_and_other_heads_are_not_asked_for(family, extra):
    net = ours_text.network(ours_text.narrow(family))
    without = ours_text.placed(family, net, arrays(family))
    placed = ours_text.placed(family, net, {**arrays(family), extra: np.zeros(3, np.float32)})
    jax.tree.map(np.testing.assert_array_equal, placed, without)


@pytest.mark.parametrize("extra", ["bert.encoder.layer.2.output.dense.bias", "encoder.extra.weight", "clsx"])
def test_any_other_tensor_is_an_error(extra):
    net = ours_text.network(ours_text.narrow("bert"))
    with pytest.raises(WeightsError, match=rf"1 extra: (bert\.)?{re.escape(extra)}"):
        ours_text.placed("bert", net, {**arrays("bert"), extra: np.zeros(3, np.float32)})


def test_the_pooler_is_needed_where_it_pools_and_left_where_not():
    full = arrays("bert")
    without = {name: array for name, array in full.items() if "pooler" not in name}
    with pytest.raises(WeightsError, match=r"2 missing: bert\.pooler\.dense\.weight, bert\.pooler\.dense\.bias"):
        ours_text.placed("bert", ours_text.network(ours_text.narrow("bert")), without)
    for pooling in ("class", "mean"):
        net = ours_text.network(ours_text.narrow("bert", pooling=pooling))
        for given in (full, without):
            params = ours_text.placed("bert", net, given)["params"]
            assert set(params["backbone"]) == {"embed", "block0", "block1"}


def test_a_network_starts_from_an_encoder_alone():
    shape = ours_text.narrow("bert")
    net, published = ours_text.network(shape), arrays("bert")
    alone = {name.removeprefix("bert."): array for name, array in published.items() if name.startswith("bert.")}
    options = {"published": ours.published(alone), "names": bert.names(shape), "unused": bert.UNUSED}
    variables, kept = placement.start(net, ours_text.tokens("bert", (1, 4)), seed=0, adapt=bert.adapt, **options)
    assert set(kept) == {"head/kernel", "head/bias"}
    back = placement.publish(variables, bert.names(shape))
    assert_same({name: back[name] for name in published if name.startswith("bert.")}, bert.adapt(alone, None))


# Sizes


@pytest.mark.parametrize("family", FAMILIES)
def test_the_published_config_json_gives_the_published_variant(family):
    module = ours_text.FAMILIES[family]
    assert module.infer({}, CONFIGS[family]) == dataclasses.replace(module.VARIANTS["base"], pooling="class")


def test_a_pooler_among_the_tensors_is_used():
    assert bert.infer(POOLER, CONFIGS["bert"]) == bert.VARIANTS["base"]
    assert bert.infer({"pooler.dense.weight": POOLER["bert.pooler.dense.weight"]}, CONFIGS["bert"]).pooling == "pooler"


def test_what_a_config_json_leaves_out_has_transformers_default():
    # As those of google/bert_uncased_L-2_H-128_A-2, which know no eps.
    left = {key: v for key, v in CONFIGS["bert"].items() if key not in ("layer_norm_eps", "hidden_act", "model_type")}
    assert bert.infer(POOLER, left) == bert.VARIANTS["base"]
    assert bert.infer({}, left | {"hidden_dropout_prob": 0.25}).dropout == 0.25


def test_a_config_json_of_another_kind_is_refused_with_every_reason():
    other = CONFIGS["roberta"] | {
        "hidden_act": "gelu_new",
        "position_embedding_type": "relative_key",
        "is_decoder": True,
    }
    del other["hidden_size"]
    with pytest.raises(ConfigError) as caught:
        bert.infer({}, other)
    assert "missing: hidden_size\n" in str(caught.value)
    for reason in (
        "hidden_act 'gelu_new', not 'gelu'",
        "is_decoder 'True', not 'False'",
        "model_type 'roberta', not 'bert'",
        "position_embedding_type 'relative_key', not 'absolute'",
    ):
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("family", "variant"),
    [
        ("bert", "tiny"),
        ("bert", "minilm_l6"),
        ("roberta", "base"),
        ("distilbert", "base"),
        ("bert", "base"),
        ("electra", "small"),
        ("electra", "base"),
        ("deberta", "xsmall"),
    ],
)
def test_without_config_json_the_tensors_tell(family, variant):
    module = ours_text.FAMILIES[family]
    published = module.VARIANTS[variant]
    shape = dataclasses.replace(published, depth=3, units=24, vocabulary=70, pooling="class")
    if family != "deberta":  # it has no positions, only distances
        shape = dataclasses.replace(shape, positions=20)
    net = ours_text.network(shape)
    found = {name: np.zeros(size, np.int8) for name, size in ours_text.published_shapes(family, net).items()}
    assert module.infer(found, None) == shape
    assert (shape.heads, shape.epsilon) == (published.heads, published.epsilon)


def test_the_tensors_of_no_published_width_need_a_config_json():
    with pytest.raises(ConfigError, match=r"\(128, 256, 384, 768, 1024\).*layer.0.intermediate.dense.weight' gives 32"):
        bert.infer(arrays("bert"), None)
    with pytest.raises(ConfigError, match=r"'roberta.encoder.layer.0.intermediate.dense.weight' gives none"):
        roberta.infer(arrays("bert"), None)


def test_a_variant_can_be_given_by_its_sizes():
    shape = Variant(32, 4, 1, 48, types=0)
    assert distilbert.build(shape).variant == shape
    assert len(distilbert.names(shape)) == 4 + 16 + 2


@pytest.mark.parametrize("family", [bert, roberta, distilbert, electra, deberta])
def test_a_config_json_of_ours_is_read_back(family):
    """And sizes that stand in no table come back from a run's model.json."""
    shape = dataclasses.replace(family.VARIANTS["base"], depth=3, dropout=0.3, pooling="class")
    said = json.loads(json.dumps(family.describe(shape, ("no", "yes"))))
    assert family.infer({}, said) == shape
    assert "id2label" not in said  # transformers' classifiers have a pooler or another layer before them
    said = json.loads(json.dumps(family.describe(dataclasses.replace(shape, pooling="pooler"), ("no", "yes"))))
    labels = ({"no": 0, "yes": 1}, {"0": "no", "1": "yes"}) if family.FAMILY.classifies else (None, None)
    assert (said.get("label2id"), said.get("id2label")) == labels
    assert family.FAMILY.classifies is (family not in (distilbert, roberta))
    assert family.FAMILY.variant_of(json.loads(json.dumps(dataclasses.asdict(shape)))) == shape
