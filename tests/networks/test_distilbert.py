"""DistilBERT: what BERT has and it has not. Its numbers: test_bert.py."""

from reference import ours_text

from tljax.core.trees import flatten
from tljax.networks.families import distilbert
from tljax.weights import placement


def test_variants_have_no_pooler():
    assert {name: shape.pooling for name, shape in distilbert.VARIANTS.items()} == {
        "base": "class",
        "base_class": "class",
        "base_mean": "mean",
        "base_normalised": "normalised",
        "base_class_normalised": "class_normalised",
    }


def test_there_are_no_parameters_for_kinds_of_segments_and_for_pooling():
    net = ours_text.network(distilbert.VARIANTS["base"])
    params = flatten(placement.shapes(net, ours_text.tokens("distilbert"))["params"])
    assert net.backbone.stages == ("embed", *(f"block{i}" for i in range(6)), "pool")
    assert {path for path in params if path.startswith(("backbone/embed", "backbone/pool"))} == {
        "backbone/embed/word/embedding",
        "backbone/embed/position/embedding",
        "backbone/embed/norm/scale",
        "backbone/embed/norm/bias",
    }


def test_queries_keys_and_values_have_its_own_names():
    paths = {row.published: (row.path, row.layout) for row in distilbert.names("base")}
    for theirs, ours in {"q_lin": "query", "k_lin": "key", "v_lin": "value", "out_lin": "out"}.items():
        name = f"distilbert.transformer.layer.5.attention.{theirs}.weight"
        assert paths[name] == (f"backbone/block5/attention/{ours}/kernel", "dense")
    assert len(paths) == 4 + 6 * 16 + 2
