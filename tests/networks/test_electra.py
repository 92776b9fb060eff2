"""ELECTRA: embeddings of another width, the published classifier, the generator's head. Its numbers: test_bert.py."""

import dataclasses

import numpy as np
import pytest
from reference import draw, ours, ours_text

from tljax.core.errors import WeightsError
from tljax.core.trees import flatten
from tljax.networks.families import electra
from tljax.networks.masked_network import Head, MaskedNetwork
from tljax.weights import placement

NARROW = ours_text.narrow("electra")


def test_only_embeddings_of_another_width_are_projected():
    for variant, width in (("small", 128), ("base", None)):
        leaves = flatten(
            placement.shapes(ours_text.network(electra.VARIANTS[variant]), ours_text.tokens("electra"))["params"]
        )
        names = {row.published for row in electra.names(variant)}
        assert ("electra.embeddings_project.weight" in names) == (width is not None)
        if width:
            assert leaves["backbone/embed/project/kernel"].shape == (128, 256)
            assert leaves["backbone/embed/norm/scale"].shape == (128,)
            assert leaves["backbone/embed/position/embedding"].shape == (512, 128)


def test_the_published_classifier_is_the_stage_pool_and_the_head():
    paths = {row.published: row.path for row in electra.names("small_pooler")}
    assert paths["classifier.dense.weight"] == "backbone/pool/dense/kernel"
    assert paths["classifier.out_proj.bias"] == "head/bias"
    assert {row.path for row in electra.names("small")} == {*paths.values()} - {
        "backbone/pool/dense/kernel",
        "backbone/pool/dense/bias",
    }
    assert {row.published for row in electra.names("small")} - set(paths) == {"classifier.weight", "classifier.bias"}


def test_a_discriminators_file_has_no_hidden_layer_which_copied_stages_draws():
    net = ours_text.network(NARROW)
    full = draw.weights(ours_text.published_shapes("electra", net))
    found = {name: array for name, array in full.items() if not name.startswith("classifier")}
    assert electra.infer(found, electra.describe(NARROW, ())).pooling == "class"
    assert electra.infer(full, electra.describe(NARROW, ())) == NARROW
    options = {"published": ours.published(found), "names": electra.names(NARROW), "unused": electra.UNUSED}
    with pytest.raises(WeightsError, match="2 missing: classifier.dense.weight, classifier.dense.bias"):
        placement.start(net, ours_text.tokens("electra"), seed=0, **options)
    _, drawn = placement.start(
        net, ours_text.tokens("electra"), seed=0, stages=("embed", "block0", "block1"), **options
    )
    assert set(drawn) == {f"{layer}/{leaf}" for layer in ("backbone/pool/dense", "head") for leaf in ("kernel", "bias")}


def test_the_generators_head_is_as_wide_as_the_embeddings():
    shape = dataclasses.replace(NARROW, pooling="class")
    net = MaskedNetwork(electra.build(shape), Head(shape))
    x = {**ours_text.tokens("electra"), "places": np.zeros((3, 1), np.int32), "weight": np.ones((3, 1), np.float32)}
    leaves = {path: leaf.shape for path, leaf in flatten(placement.shapes(net, x)["params"]).items()}
    assert leaves["head/dense/kernel"] == (32, 16) and leaves["head/bias"] == (50,)
    assert {row.path for row in electra.masked_names(shape)} == set(leaves)
