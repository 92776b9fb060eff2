"""Text encoders against stored torch outputs: scripts/make_reference_outputs.py wrote them."""

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from reference import draw, ours, ours_text

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.networks.encoder import Variant
from tljax.networks.families import bert
from tljax.weights import placement

FAMILIES = tuple(ours_text.FAMILIES)
# Without a head, as transformers counts them.
PARAMETERS = {
    ("bert", "base"): 109_482_240,
    ("bert", "large"): 335_141_888,
    ("bert", "mini"): 11_170_560,
    ("bert", "tiny"): 4_385_920,
    ("bert", "minilm_l6_pooler"): 22_713_216,
    ("bert", "minilm_l6"): 22_713_216 - 384 * 385,
    ("bert", "minilm_l12_pooler"): 33_360_000,
    ("bert", "minilm_l12_multi_pooler"): 117_653_760,
    ("roberta", "base_pooler"): 124_645_632,
    ("roberta", "large_pooler"): 355_359_744,
    ("distilbert", "base"): 66_362_880,
    ("electra", "small"): 13_483_008,
    ("electra", "base"): 108_891_648,
    ("electra", "large"): 334_092_288,
    ("deberta", "xsmall"): 70_682_112,
    ("deberta", "small"): 141_304_320,
    ("deberta", "base"): 183_831_552,
    ("deberta", "large"): 434_012_160,
}


@cache
def stored(family: str) -> dict[str, np.ndarray]:
    size = ours_text.PUBLISHED[family].partition("_")[0]
    with np.load(Path(__file__).parents[1] / "reference" / f"{family}_{size}.npz") as file:
        return dict(file)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stage_and_the_logits_are_torchs(family):
    net, reference, differences = ours_text.network(ours_text.narrow(family)), stored(family), {}
    variables = ours_text.drawn(family, net)
    for i, shape in enumerate(draw.TEXTS):
        found = ours_text.outputs(net, variables, ours_text.tokens(family, shape))
        differences[i, "logits"] = ours.difference(found.pop("logits"), reference[f"{i}/logits"])
        for stage, output in found.items():
            key = f"{i}/{stage}"
            assert output.shape == tuple(reference[f"{key}/shape"])
            largest, values = reference[f"{key}/largest"], reference[key]
            where = draw.positions(output.size)[: len(values)]
            differences[i, stage] = ours.difference(output.reshape(-1)[where], values, largest)
            differences[i, stage, "largest"] = ours.difference(np.abs(output).max(), largest)
    print(f"{family}: {max(differences.values()):.1e}")
    assert {stage for _, stage, *_ in differences} == {"embed", "block0", "block1", "pool", "logits"}
    assert {key: value for key, value in differences.items() if not value <= 1e-5} == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_shapes_are_the_published_ones(family):
    pairs = zip(stored(family)["names"], stored(family)["shapes"], strict=True)
    expected = {str(name): tuple(map(int, shape.split())) for name, shape in pairs}
    variant = ours_text.FAMILIES[family].VARIANTS[ours_text.PUBLISHED[family]]
    assert ours_text.published_shapes(family, ours_text.network(variant, classes=2)) == expected


@pytest.mark.parametrize(("family", "variant"), PARAMETERS)
def test_parameters_are_as_many_as_published(family, variant):
    net = ours_text.network(ours_text.FAMILIES[family].VARIANTS[variant])
    params = placement.shapes(net, ours_text.tokens(family))["params"]
    assert count(params["backbone"]) == PARAMETERS[family, variant]


@pytest.mark.parametrize("family", FAMILIES)
def test_name_table_covers_every_parameter_once(family):
    module = ours_text.FAMILIES[family]
    for published in module.VARIANTS.values():
        variant = dataclasses.replace(published, depth=2)
        rows = module.names(variant)
        variables = placement.shapes(ours_text.network(variant), ours_text.tokens(family))
        assert set(variables) == {"params"} == {row.collection for row in rows}
        assert {row.path for row in rows} == set(flatten(variables["params"]))
        assert len(rows) == len({row.path for row in rows}) == len({row.published for row in rows})


@pytest.mark.parametrize("family", FAMILIES)
def test_place_and_publish_are_inverse(family):
    net = ours_text.network(ours_text.narrow(family))
    arrays = draw.weights(ours_text.published_shapes(family, net))
    back = placement.publish(
        ours_text.placed(family, net, arrays), ours_text.FAMILIES[family].names(ours_text.narrow(family))
    )
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_a_variant_says_how_a_text_becomes_a_vector():
    assert {name: bert.VARIANTS[name].pooling for name in ("base", "base_class", "base_mean", "minilm_l6")} == {
        "base": "pooler",
        "base_class": "class",
        "base_mean": "mean",
        "minilm_l6": "mean",
    }
    with pytest.raises(ConfigError, match=r"variant of 'bert' must be one of base, large, mini, .*; got 'huge'"):
        bert.build("huge")
    with pytest.raises(ConfigError, match=r"must be one of class, mean, .*, pooler, .*; got pooling 'max'"):
        Variant(32, 4, 2, 48, pooling="max")
    with pytest.raises(ConfigError, match=r"width a multiple of its heads; got .* width 30, 4 heads"):
        Variant(30, 4, 2, 48)
