"""The weights that a config names: which source, which variant, which card."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy

from tests import small
from tests.weights.test_translation import published, spelled
from tljax.core.errors import ConfigError, WeightsError
from tljax.networks.families import convnext, lenet, resnet, vgg, vit
from tljax.networks.network import Network
from tljax.reporting.report import Report
from tljax.runs import experiment
from tljax.serving import saved_model
from tljax.tasks import classification
from tljax.weights import placement, pretrained

# Which source


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        ("timm/resnet18.tv_in1k", "hub"),
        ("weights/net.safetensors", "file"),
        ("weights/net.npz", "file"),
        ("weights/net.pth", "file"),
        ("weights/net.BIN", "file"),
        ("weights/net.h5", "file"),
        ("net", "file"),
        ("../weights", "file"),
        ("./weights", "file"),
        ("a/b/c", "file"),
        ("/a/b", "file"),
        ("~/weights", "file"),
        ("package:name", "package"),
        ("package:name/model/net.safetensors", "package"),
    ],
)
def test_source_of(spec, source):
    assert pretrained.source_of(spec) == source


def test_a_folder_that_exists_is_no_repository(tmp_path, monkeypatch):
    (tmp_path / "runs" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert pretrained.source_of("runs/model") == "file"


def test_two_sources_that_claim_one_spec_are_named(monkeypatch):
    from tljax.weights.sources import hub

    monkeypatch.setattr(hub, "claims", lambda spec: True)
    with pytest.raises(ConfigError, match="must mean one source; 'a.npz' is claimed by file, hub"):
        pretrained.source_of("a.npz")


# Which variant


def zeros(module, variant, side=32):
    """Arrays of a network of the table, under its published names; they take no memory."""
    network = Network(module.build(variant), classification.head(5))
    empty = placement.shapes(network, np.zeros((1, side, side, 3), np.float32))
    leaves = {c: placement.flatten(tree) for c, tree in empty.items()}
    rows = module.names(variant)
    shapes = {row.published: (leaves[row.collection][row.path].shape, row.layout) for row in rows}
    return {n: np.broadcast_to(np.float32(0), placement.published_shape(*shape)) for n, shape in shapes.items()}


@pytest.mark.parametrize(
    ("module", "variant"),
    [
        (resnet, "18"),
        (resnet, "50"),
        (resnet, "wide50_2"),
        (resnet, "resnext50_32x4d"),
        (resnet, resnet.Variant((1, 2), bottleneck=True, width=16, widths=(8, 24))),
        (resnet, resnet.Variant((2, 1, 1), bottleneck=False, width=16, widths=(16, 24, 24))),
        (vgg, "11"),
        (vgg, "16_bn"),
        (vgg, vgg.Variant((2, 1, 1, 1, 3), batch_norm=False, widths=(4, 4, 8, 8, 8), dense=16)),
        (vgg, vgg.Variant((1, 1, 2, 1, 1), batch_norm=True, widths=(4, 4, 8, 8, 8), dense=16)),
        (vit, "tiny16"),
        (vit, "small32_gap"),
        (vit, "deit_tiny16_distilled"),
        (vit, "base16_reg8_gap"),
        (vit, vit.Variant(patch=8, width=192, heads=3, depth=2, hidden=40, qkv_bias=False)),
        (convnext, "tiny"),
        (convnext, convnext.Variant((1, 2, 1), (4, 8, 12))),
        (lenet, "medium"),
    ],
)
def test_sizes_are_read_from_the_tensors(module, variant):
    assert module.infer(zeros(module, variant), None) == module.variant_of(variant)


def test_heads_that_nothing_tells_are_not_guessed():
    arrays = zeros(vit, vit.Variant(patch=8, width=40, heads=5, depth=1))
    assert vit.infer(arrays, {"heads": 5}).heads == 5
    assert vit.infer(arrays, {"num_attention_heads": 5}).heads == 5
    with pytest.raises(WeightsError, match=r"a ViT of width 40 .* config\.json .* num_attention_heads"):
        vit.infer(arrays, None)


def config(family, folder, variant="auto", **card):
    """The config of a model whose weights lie in `folder`."""
    one = small.config(model__family=family, model__variant=variant, model__weights=str(folder)).model
    one.card.mean, one.card.std = (0.5,) * 3, (0.5,) * 3
    for key, value in card.items():
        one.card[key] = value
    return one


def save(folder, arrays, **files):
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    for name, said in files.items():
        (folder / f"{name}.json").write_text(json.dumps(said))
    return folder


def test_auto_takes_sizes_from_tensors_and_the_rest_from_the_config(tmp_path):
    save(tmp_path, spelled("transformers", "vit"), config={"num_attention_heads": 2, "layer_norm_eps": 1e-5})
    known = pretrained.fetch(config("vit", tmp_path), wanted=True)
    assert known.variant == vit.Variant(patch=8, width=8, heads=2, depth=2, eps=1e-5)
    assert known.notes[0] == "names: as transformers spells a vit" and "by the weights" in known.notes[1]
    found = known.published.arrays
    assert {n: found[n].tobytes() for n in found} == {n: x.tobytes() for n, x in published("vit").items()}


def test_a_variant_of_the_table_keeps_its_name(tmp_path):
    save(tmp_path, {name: np.ascontiguousarray(x) for name, x in zeros(lenet, "medium", side=8).items()})
    known = pretrained.fetch(config("lenet", tmp_path), channels=3, wanted=True)
    assert known.variant == "medium" and known.notes == ("variant: medium, by the weights",)


def test_a_named_variant_takes_what_tensors_do_not_show_from_the_config(tmp_path):
    save(tmp_path, spelled("transformers", "convnext"), config={"layer_norm_eps": 1e-5})
    small_next = dataclasses.asdict(convnext.Variant((1, 2), (4, 8)))
    one = config("convnext", tmp_path)
    spelled_card = pretrained.fetch(one, wanted=True)
    assert spelled_card.variant == convnext.Variant((1, 2), (4, 8), eps=1e-5)
    assert convnext.variant_of(small_next).eps == 1e-6


def test_auto_needs_weights_and_a_family_that_reads_sizes(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="variant='auto' reads them, and config.model.weights is empty"):
        pretrained.fetch(config("vit", ""), wanted=False)
    save(tmp_path, published("vit"))
    monkeypatch.delattr(vit, "infer")
    with pytest.raises(ConfigError, match="needs a family that can read its sizes from tensors; 'vit' cannot"):
        pretrained.fetch(config("vit", tmp_path), wanted=True)


def test_tensors_that_show_no_sizes_are_named(tmp_path):
    arrays = published("resnet")
    save(tmp_path, {name: x for name, x in arrays.items() if name != "conv1.weight"})
    with pytest.raises(WeightsError, match=r"must show the sizes of a 'resnet', but 'conv1\.weight' .*: 18, 34, 50"):
        pretrained.fetch(config("resnet", tmp_path), wanted=True)


def test_a_model_folder_of_unusual_sizes_is_a_start_again(tmp_path):
    """Saved by a run, read with "auto": the same variant and the same bits."""
    shape = resnet.Variant((1, 1), bottleneck=False, width=4, widths=(8, 12))
    save(tmp_path, {name: np.ascontiguousarray(x) + 1 for name, x in zeros(resnet, shape).items()})
    one = small.config(model__family="resnet", model__variant="auto", model__weights=str(tmp_path), data__size=16)
    one.model.card.mean, one.model.card.std = (0.5,) * 3, (0.5,) * 3
    one.data.channels, one.groups = 3, {}
    first = experiment.load(one, axis=None)
    assert first.variant == shape
    saved_model.save(tmp_path / "model", first.variables, first, one)
    assert json.loads((tmp_path / "model" / "model.json").read_text())["variant"]["widths"] == [8, 12]
    one.model.weights, one.model.card.mean, one.model.card.std = str(tmp_path / "model"), (), ()
    again = experiment.load(one, axis=None)
    assert again.variant == shape
    backbones = [small.bits(made.variables["params"]["backbone"]) for made in (first, again)]
    assert backbones[0] == backbones[1]
    loaded = saved_model.load(tmp_path / "model")
    assert small.bits(loaded.variables) == small.bits(first.variables)


# Which card


def test_weights_of_three_channels_on_pictures_of_four(tmp_path):
    save(tmp_path, published("vit"))
    one = config("vit", tmp_path)
    one.variant, one.card.mean, one.card.std = "auto", (), ()
    (tmp_path / "card.json").write_text(json.dumps({"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0]}))
    (tmp_path / "config.json").write_text(json.dumps({"heads": 2}))
    known = pretrained.fetch(one, channels=4, wanted=True)
    assert known.card.mean == pytest.approx((0.1, 0.2, 0.3, 0.1)) and known.card == known.published.card
    assert known.published.arrays["patch_embed.proj.weight"].shape == (8, 4, 8, 8)
    assert known.notes[-1] == "channels: 3 -> 4, sums kept: patch_embed.proj.weight, mean and std"


def test_a_card_of_the_config_for_other_channels_stands(tmp_path):
    save(tmp_path, published("vit"), card={"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0], "scale": 1.0})
    (tmp_path / "config.json").write_text(json.dumps({"heads": 2}))
    one = config("vit", tmp_path, mean=(0.5,) * 4, std=(0.25,) * 4)
    known = pretrained.fetch(one, channels=4, wanted=True)
    assert (known.card.mean, known.card.std, known.card.scale) == ((0.5,) * 4, (0.25,) * 4, 1.0)


def test_a_card_of_the_config_that_contradicts_the_weights_is_refused(tmp_path):
    save(tmp_path, published("vit"), card={"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0]})
    (tmp_path / "config.json").write_text(json.dumps({"heads": 2}))
    with pytest.raises(ConfigError, match=r"have a card: mean \(0\.1, 0\.2, 0\.3\).*config\.model\.card says"):
        pretrained.fetch(config("vit", tmp_path), wanted=True)


def test_what_was_changed_is_said_in_the_log(tmp_path, capsys):
    """A ResNet of three channels, on grey digits: adapted, counted in the experiment, printed by the report."""
    shape = resnet.Variant((1,), bottleneck=False, width=4)
    arrays = {name: np.ascontiguousarray(x) + 1 for name, x in zeros(resnet, shape).items()}
    save(tmp_path, arrays, card={"mean": [0.1, 0.2, 0.6], "std": [1.0, 2.0, 3.0]})
    one = small.config(model__family="resnet", model__variant="auto", model__weights=str(tmp_path), data__size=16)
    one.model.card.mean, one.model.card.std, one.groups = (), (), {}
    made = experiment.load(one, axis=None)
    assert made.card.mean == pytest.approx((0.3,)) and made.card.std == pytest.approx((2.0,))
    assert (made.variables["params"]["backbone"]["stem"]["conv"]["kernel"] == 3).all()
    Report(tmp_path / "run", one, best="accuracy").begin(one, made)
    said = " ".join(capsys.readouterr().out.split())
    assert "channels: 3 -> 1, sums kept: conv1.weight, mean and std" in said
    assert "variant: Variant(blocks=(1,), bottleneck=False, width=4" in said and "by the weights" in said
