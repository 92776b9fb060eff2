"""Weights under the names of a wrapper: told, taken where there is one answer, asked for where there are two."""

import numpy as np
import pytest
import safetensors.numpy

from tests.weights.test_pretrained import config, save
from tests.weights.test_translation import published, spelled
from tljax.__main__ import main
from tljax.core.errors import WeightsError
from tljax.core.plugins import available
from tljax.core.types import Card, Published
from tljax.networks.families import bert, resnet
from tljax.weights import pretrained, wrappers

OWN = {"resnet": published("resnet"), "vit": published("vit"), "densenet": published("densenet")}
HEADS = {"resnet": "fc", "vit": "head", "densenet": "classifier"}


def under(prefix, arrays):
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def without_head(family):
    return {name: x for name, x in OWN[family].items() if not name.startswith(f"{HEADS[family]}.")}


def taken(arrays, families=("resnet",), prefix=""):
    found, notes = wrappers.taken_off(Published(arrays, Card(mean=()), "net.pth"), families, prefix)
    return dict(found.arrays), notes


def assert_same(found, expected):
    assert {name: x.tobytes() for name, x in found.items()} == {name: x.tobytes() for name, x in expected.items()}


@pytest.mark.parametrize("families", [("one",), "all"])
@pytest.mark.parametrize("family", OWN)
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "model.", "net.encoder.", "0.", "model.0.module."])
def test_one_network_under_a_prefix_is_taken(prefix, family, families):
    families = (family,) if families != "all" else available("families")
    found, notes = taken(under(prefix, OWN[family]), families)
    assert_same(found, OWN[family])
    assert notes == (f"names: without '{prefix}', the prefix of {len(found)} of {len(found)} tensors",)


@pytest.mark.parametrize("family", OWN)
def test_a_network_under_its_own_names_stays(family):
    arrays = OWN[family] | {"criterion.weight": np.ones(3, np.float32)}  # which `placement` then names
    found, notes = taken(arrays, (family,))
    assert notes == () and found.keys() == arrays.keys()


@pytest.mark.parametrize("head", ["head.", "fc.", "classifier.", "module.head."])
@pytest.mark.parametrize("family", OWN)
def test_the_classifier_beside_a_backbone_is_taken_under_the_familys_name(family, head):
    weight, bias = np.ones((5, 8), np.float32), np.ones(5, np.float32)
    arrays = under("backbone.", without_head(family)) | {f"{head}weight": weight, f"{head}bias": bias}
    found, notes = taken(arrays, (family,))
    name = HEADS[family]
    assert_same(found, without_head(family) | {f"{name}.weight": weight, f"{name}.bias": bias})
    assert notes[1:] == (f"classifier: {head}weight as {name}.weight, {head}bias as {name}.bias",)


def test_what_stands_beside_is_left_out_and_named():
    """Lightning's state_dict with a criterion beside; a projection of two layers is no classifier."""
    beside = {"criterion.weight": np.ones(3, np.float32)}
    found, notes = taken(under("model.", OWN["resnet"]) | beside)
    assert_same(found, OWN["resnet"])
    assert notes[1:] == ("left out, not part of the network: criterion.weight",)
    layers = {
        f"projector.{i}.{leaf}": np.ones((4, 4) if leaf == "weight" else 4)
        for i in (0, 2, 4)
        for leaf in ("weight", "bias")
    }
    found, notes = taken(under("backbone.", without_head("resnet")) | layers)
    assert_same(found, without_head("resnet"))
    assert notes[1:] == (
        "left out, not part of the network: projector.0.bias, projector.0.weight, projector.2.bias, and 3 more",
    )


def test_of_two_networks_it_asks_which():
    arrays = under("student.", OWN["resnet"]) | under("teacher.", OWN["resnet"]) | {"center": np.ones(3)}
    message = (
        r"'net\.pth' must hold one network; it holds 2, .* 'student\.' and 'teacher\.'\. .*model\.prefix=student\."
    )
    with pytest.raises(WeightsError, match=message):
        taken(arrays)
    for prefix in ("teacher.", "teacher"):
        found, notes = taken(arrays, prefix=prefix)
        assert_same(found, OWN["resnet"])
        assert notes[0].startswith("names: without 'teacher.'")
    with pytest.raises(WeightsError, match=r"none begins with 'coach\.'\. They begin with center, student, teacher"):
        taken(arrays, prefix="coach")


@pytest.mark.parametrize(("library", "family"), [("transformers", "vit"), ("timm", "convnext"), ("timm", "mobilenet")])
def test_other_spellings_lie_under_wrappers_too(library, family):
    found, notes = taken(under("_orig_mod.module.", spelled(library, family)), (family,))
    assert_same(found, spelled(library, family))
    assert len(notes) == 1


def test_a_text_encoder_lies_under_wrappers_too():
    names = {row.published: np.ones(1) for row in bert.names("minilm_l6_mean")}
    for family in (("bert",), available("families")):
        assert taken(under("model.", names), family)[0].keys() == names.keys()


def test_blocks_that_are_named_as_a_first_stage_are_no_networks():
    block = {f"{layer}.weight": np.ones(2) for layer in ("conv1", "bn1", "bn2")} | {
        "bn1.bias": np.ones(2),
        "bn2.bias": 0,
    }
    arrays = {f"trunk.{i}.{name}": x for i in range(4) for name, x in block.items()}
    found, notes = taken(arrays, available("families"))
    assert found.keys() == arrays.keys() and notes == ()


# A run, and `zoo check`


def test_a_run_starts_from_what_lies_under_a_wrapper(tmp_path):
    save(tmp_path, under("_orig_mod.module.", OWN["resnet"]))
    known = pretrained.fetch(config("resnet", tmp_path), wanted=True)
    assert_same(known.published.arrays, OWN["resnet"])
    assert known.notes[0].startswith("names: without '_orig_mod.module.'")
    assert known.variant == resnet.Variant((1, 2), bottleneck=True, width=4)


def test_zoo_check_asks_which_network_and_takes_it(tmp_path, capsys):
    arrays = {name: np.ascontiguousarray(x) for name, x in OWN["resnet"].items()}
    path = tmp_path / "net.safetensors"
    safetensors.numpy.save_file(under("student.", arrays) | under("teacher.", arrays), path)
    assert main(["zoo", "check", str(path)]) == 4
    assert "'student.' and 'teacher.'" in capsys.readouterr().err
    assert main(["zoo", "check", str(path), "--prefix=teacher."]) == 0
    said = capsys.readouterr().out
    assert "names: without 'teacher.'" in said and "network: resnet of sizes of its own" in said
