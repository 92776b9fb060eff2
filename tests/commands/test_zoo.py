"""Every card against its family; `tljax zoo`, and `tljax zoo check` on files that are right and wrong."""

import dataclasses
import json
import re

import flax.linen as nn
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from reference import draw

from tests import small
from tljax.__main__ import main
from tljax.core.plugins import available, find
from tljax.core.trees import flatten
from tljax.core.types import Card
from tljax.data import preprocess
from tljax.data.inputs import tokens
from tljax.networks import flops
from tljax.networks.families import resnet
from tljax.networks.network import Network
from tljax.weights import cards, layouts, lock_file, placement
from tljax.weights.sources import hub

CONFIG, DATA, WEIGHTS = 2, 3, 4
ALL = {spec: hub.read_card(spec) for spec in hub.zoo()}
CARDS = {spec: card for spec, card in ALL.items() if find("families", card.family).INPUT == "image"}
TEXTS = {spec: card for spec, card in ALL.items() if spec not in CARDS}
# One of each network at each size; the others differ in nothing that is computed.
NETWORKS = {(card.family, card.variant, card.size, card.classes): card for card in CARDS.values()}
QUICK = ("timm/resnet18.tv_in1k", "timm/vgg11_bn.tv_in1k", "timm/deit_tiny_distilled_patch16_224.fb_in1k")
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SOURCED = {"file", "licence", "classes", "mean", "std", "size", "crop", "interpolation", "scale", "channel_order",
           "parameters", "gflops"}  # fmt: skip


def counted(card):
    """(parameters that the file holds, GFLOPs of one picture), from shapes alone."""
    family = find("families", card.family)
    network = Network(family.build(card.variant), nn.Dense(card.classes or 1))
    pixels = np.zeros((1, card.size, card.size, 3), np.float32)
    shapes = placement.shapes(network, pixels)
    leaves, rows = flatten(shapes["params"]), [row for row in family.names(card.variant) if row.collection == "params"]
    rows = rows if card.classes else [row for row in rows if row.path.startswith("backbone")]
    sizes = {row.published: layouts.published_shape(leaves[row.path].shape, row.layout) for row in rows}
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in sizes.items()}
    arrays = getattr(family, "as_published", dict)(arrays)
    floats = [array for array in arrays.values() if np.issubdtype(array.dtype, np.floating)]  # no buffers of places
    return sum(array.size for array in floats), flops.count(network.apply, shapes, pixels) / 1e9


def assert_counts(card):
    parameters, gflops = counted(card)
    assert card.parameters == parameters
    assert card.gflops == round(gflops, 2)


@pytest.mark.parametrize("spec", QUICK)
def test_a_card_counts_what_the_network_has(spec):
    assert_counts(CARDS[spec])


@pytest.mark.parity
@pytest.mark.parametrize("key", NETWORKS, ids=lambda key: "-".join(map(str, key)))
def test_every_card_counts_what_its_network_has(key):
    assert_counts(NETWORKS[key])


@pytest.mark.parametrize("spec", CARDS)
def test_a_card_says_what_is_known_and_where_from(spec):
    card = CARDS[spec]
    assert card.family in available("families") and card.variant in find("families", card.family).VARIANTS
    assert (card.repository, card.file) == (spec, "model.safetensors")
    assert card.revision == "" or re.fullmatch(lock_file.PINS["revision"], card.revision)
    assert card.sha256 == "" or re.fullmatch(lock_file.PINS["sha256"], card.sha256)
    licences = {"BSD-3-Clause", "Apache-2.0", "MIT", "CC-BY-NC-4.0", "DINOv3-License"}
    assert card.licence in licences | {"FAIR-NC"}  # a new one is to be read before it is listed
    assert card.classes >= 0 and card.parameters > 0 and card.gflops > 0 and card.size > 0 and 0 < card.crop <= 1
    assert (card.mean, card.std) in (IMAGENET, CLIP, ((0.5,) * 3, (0.5,) * 3), ((0.0,) * 3, (1.0,) * 3))
    assert (card.scale, card.channel_order) == (255.0, "RGB") and card.interpolation in preprocess.METHODS
    assert {field for fields in card.sources for field in fields.split(", ")} == SOURCED
    assert all(card.sources.values())


@pytest.mark.parametrize("spec", TEXTS)
def test_a_card_of_a_text_encoder(spec):
    card = TEXTS[spec]
    family = find("families", card.family)
    file = "pytorch_model.bin" if card.family in ("electra", "deberta") else "model.safetensors"
    network = Network(family.build(card.variant), nn.Dense(2))
    shapes = placement.shapes(network, tokens.example())["params"]["backbone"]
    assert card.parameters == sum(leaf.size for leaf in flatten(shapes).values())
    assert (card.repository, card.file) == (spec, file)
    assert (card.mean, card.std, card.size, card.classes, card.gflops) == ((), (), 0, 0, 0.0)
    told = {"file", "licence", "parameters"} | ({"prefix"} if card.prefix else set())
    assert set(card.sources) == told and all(card.sources.values())


def test_text_encoders_of_the_zoo():
    assert {spec: (card.parameters, card.licence) for spec, card in TEXTS.items()} == {
        "BAAI/bge-small-en-v1.5": (33_212_160, "MIT"),
        "BAAI/bge-base-en-v1.5": (108_891_648, "MIT"),
        "FacebookAI/roberta-base": (124_055_040, "MIT"),
        "FacebookAI/xlm-roberta-base": (277_453_056, "MIT"),
        "answerdotai/ModernBERT-base": (149_014_272, "Apache-2.0"),
        "distilbert/distilbert-base-uncased": (66_362_880, "Apache-2.0"),
        "google-bert/bert-base-uncased": (109_482_240, "Apache-2.0"),
        "google/electra-small-discriminator": (13_483_008, "Apache-2.0"),
        "google/electra-base-discriminator": (108_891_648, "Apache-2.0"),
        "intfloat/e5-small-v2": (33_212_160, "MIT"),
        "intfloat/e5-base-v2": (108_891_648, "MIT"),
        "intfloat/multilingual-e5-small": (117_505_920, "MIT"),
        "intfloat/multilingual-e5-base": (277_453_056, "MIT"),
        "microsoft/deberta-v3-small": (141_304_320, "MIT"),
        "microsoft/deberta-v3-base": (183_831_552, "MIT"),
        "mixedbread-ai/mxbai-embed-large-v1": (334_092_288, "Apache-2.0"),
        "sentence-transformers/all-MiniLM-L6-v2": (22_565_376, "Apache-2.0"),
        "sentence-transformers/all-MiniLM-L12-v2": (33_212_160, "Apache-2.0"),
        "sentence-transformers/all-mpnet-base-v2": (108_895_872, "Apache-2.0"),
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": (117_505_920, "Apache-2.0"),
        "thenlper/gte-small": (33_212_160, "MIT"),
        "thenlper/gte-base": (108_891_648, "MIT"),
    }
    assert {spec for spec, card in TEXTS.items() if card.prefix} == {spec for spec in TEXTS if "e5-" in spec}
    assert {card.prefix for card in TEXTS.values()} == {"", "query: "}


@pytest.mark.parametrize("spec", CARDS)
def test_the_numbers_in_a_repositorys_name_are_those_of_its_card(spec):
    """Patch, pixels and depth, as timm writes them into names."""
    card, name = CARDS[spec], spec.partition("/")[2]
    if card.family == "swin":
        assert f"_{card.variant}_patch4_window7_224" in name and card.size == 224
    elif card.family == "regnet":  # "y_1_6gf" is 016 there, in units of 100 MFLOPs
        number, unit = re.fullmatch(r"y_([\d_]+)([gm])f", card.variant).groups()
        assert f"y_{float(number.replace('_', '.')) * (10 if unit == 'g' else 0.01):03.0f}" in name
    elif name.startswith("tipsv2-"):
        assert card.variant == {"b14": "tipsv2_base14", "l14": "tipsv2_large14"}[name.removeprefix("tipsv2-")]
    elif card.family == "mobilenet_v4":
        assert f"mobilenetv4_{card.variant}." in name and f"_r{card.size}_" in name
    elif found := re.search(r"patch(\d+)(?:.*_(\d\d\d))?", name):
        shape, (patch, size) = find("families", "vit").VARIANTS[card.variant], found.groups()
        pixels = 256 if "dinov3" in name else 448 if "tipsv2" in name else 518
        assert (shape.patch, card.size) == (int(patch), int(size or pixels))
        registers = 4 * ("reg4" in name or "dinov3" in name) + ("reg1" in name)
        assert (shape.distilled, shape.registers) == ("distilled" in name, registers)
        assert (shape.pre_norm, shape.attention_pool) == ("clip" in name and "siglip" not in name, "siglip" in name)
        assert shape.activation == ("gelu_tanh" if "siglip" in name else "quick_gelu" if "openai" in name else "gelu")
    else:
        assert (
            card.variant.replace("wide50_2", "50_2").replace("resnext", "").removeprefix("R").removesuffix("_tf")
            in name
        )
    none = {
        "tipsv2-b14": 0,
        "tipsv2-l14": 0,
        "lvd142m": 0,
        "lvd1689m": 0,
        "mae": 0,
        "v2_webli": 0,
        "webli": 0,
    }  # seen without labels, or with texts for labels
    space = 768 if "large" in name else 512  # which CLIP shares with texts
    classes = {"in21k": 21843, "in22k": 21841, **none, "openai": space, "datacompxl": space}
    tag = name.rpartition(".")[2].removeprefix("dinov3_").removeprefix("eupe_")
    assert card.classes == classes.get(tag, classes.get(tag.rpartition("_")[2], 1000))


def test_counts_that_papers_and_slides_print():
    assert CARDS["timm/vgg16.tv_in1k"].parameters == 138357544
    assert CARDS["timm/resnet50.tv_in1k"].parameters == 25557032
    assert CARDS["timm/vit_base_patch16_224.augreg_in21k_ft_in1k"].parameters == 86567656
    assert CARDS["timm/convnext_tiny.fb_in1k"].parameters == 28589128


# The table


def test_the_table_has_a_row_a_card_and_a_filter(capsys):
    assert main(["zoo"]) == 0
    printed = capsys.readouterr().out
    assert all(f" {spec} " in printed for spec in ALL)
    row = next(line.split() for line in printed.splitlines() if "roberta-base" in line)
    assert row == ["FacebookAI/roberta-base", "roberta", "base", "124,055,040", "-", "-", "-", "MIT"]
    assert main(["zoo", "--family=vgg"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "timm/" in line]
    assert [row[2] for row in rows] == ["11", "11_bn", "13", "13_bn", "16", "16_bn", "19", "19_bn"]
    assert rows[4] == ["timm/vgg16.tv_in1k", "vgg", "16", "138,357,544", "30.94", "224", "1000", "BSD-3-Clause"]


def test_a_family_without_cards_is_an_error(capsys):
    assert main(["zoo", "--family=lenet"]) == CONFIG
    assert (
        "must be one of those with cards, bert, bit, convnext, deberta, densenet, distilbert, efficientnet, electra, "
        "mobilenet, mobilenet_v4, modernbert, mpnet, regnet, resnet, roberta, swin, vgg, vit; got 'lenet'"
        in capsys.readouterr().err
    )


# A file


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A tiny ResNet of four classes in torchvision's names, with a card."""
    monkeypatch.setitem(resnet.VARIANTS, "tiny", small.TINY)
    shapes = placement.shapes(Network(resnet.build("tiny"), nn.Dense(4)), np.zeros((1, 32, 32, 3), np.float32))
    ours = {collection: flatten(tree) for collection, tree in shapes.items()}
    rows = {row.published: (ours[row.collection][row.path].shape, row.layout) for row in resnet.names("tiny")}
    path = tmp_path / "net.safetensors"
    arrays = draw.weights({name: layouts.published_shape(*row) for name, row in rows.items()})
    safetensors.numpy.save_file(arrays, path)
    write_card(path, Card(mean=(0.5,) * 3, std=(0.5,) * 3, size=32, crop=0.875))
    return path


def write_card(path, card):
    path.with_suffix(".card.json").write_text(json.dumps(card.as_dict()))


def change(path, **arrays):
    """The file with other tensors; None leaves one out. A double underscore stands for a dot."""
    found = safetensors.numpy.load_file(path) | {name.replace("__", "."): x for name, x in arrays.items()}
    safetensors.numpy.save_file({name: x for name, x in found.items() if x is not None}, path)


def test_a_file_is_told_by_its_names_and_run(file, tmp_path, capsys):
    Image.fromarray(np.full((40, 50, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    assert main(["zoo", "check", str(file), f"--picture={tmp_path / 'grey.png'}"]) == 0
    said = capsys.readouterr().out
    assert f"file: {file}: 32 tensors, float32" in said
    assert "network: resnet tiny, 6,124 parameters, 4 classes" in said
    assert "card: RGB / 255, mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5, 32 pixels" in said
    rows = [line.split() for line in said.splitlines() if line.strip().startswith(("stem", "stage1", "stage2", "head"))]
    assert [(row[0], row[1], " ".join(row[3:])) for row in rows] == [
        ("stem", "1,192", "8 x 8 x 8"), ("stage1", "1,184", "8 x 8 x 8"),
        ("stage2", "3,680", "4 x 4 x 16"), ("head", "68", "4"),
    ]  # fmt: skip
    assert "differences: none" in said
    probabilities = [float(x) for x in re.findall(r"class \d (0\.\d{4})", said)]
    assert f"ran on '{tmp_path / 'grey.png'}': class" in said
    assert len(probabilities) == 4 and sum(probabilities) == pytest.approx(1.0, abs=2e-4)


def test_without_a_card_it_runs_on_noise_alone(file, tmp_path, capsys):
    file.with_suffix(".card.json").unlink()
    assert main(["zoo", "check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "card: none: set config.model.card.mean and .std" in said and "ran on noise: class" in said
    Image.fromarray(np.full((40, 50, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    asked = ["zoo", "check", str(file), f"--picture={tmp_path / 'grey.png'}"]
    assert main(asked) == CONFIG
    assert "--picture needs a card" in capsys.readouterr().err
    assert main([*asked, "--mean=0.5,0.5,0.5", "--std=0.2,0.2,0.2"]) == 0
    assert "mean 0.5, 0.5, 0.5, std 0.2, 0.2, 0.2" in (said := capsys.readouterr().out) and "grey.png': class" in said
    for std in ("0.2", "0.2,0.2,0", "a,b,c"):
        assert main([*asked, "--mean=0.5,0.5,0.5", f"--std={std}"]) == CONFIG
        assert "--mean and --std must be as many numbers, the latter > 0" in capsys.readouterr().err


def test_a_file_without_a_classifier_gives_features(file, capsys):
    change(file, fc__weight=None, fc__bias=None)
    assert main(["zoo", "check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "6,056 parameters, 0 classes" in said
    assert "ran on noise: features 16, all finite; it has no classifier" in said


def test_other_channels_and_classes_show_in_the_tensors(file, capsys):
    change(file, conv1__weight=np.ones((8, 5, 7, 7), np.float32), fc__weight=np.ones((9, 16), np.float32),
           fc__bias=np.ones(9, np.float32))  # fmt: skip
    write_card(file, Card(mean=(0.5,) * 5, std=(0.5,) * 5, size=32))
    assert main(["zoo", "check", str(file)]) == 0
    assert ", 9 classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "arrays", "said"),
    [
        (["--family=vgg"], {}, r"config.model.family 'vgg'"),
        (["--variant=18"], {}, r"must have the tensors(?s:.*) missing: layer1.1.conv1.weight"),
        ([], {"bn1__weight": None}, r"missing: bn1.weight"),
        ([], {"bn1__weight": np.full(8, np.nan, np.float32)}, r"not finite: bn1.weight"),
        ([], {"what": np.ones(3, np.float32)}, r"extra: what"),
        ([], {"fc__bias": None}, r"missing: fc.bias"),
        ([], {"fc__weight": None}, r"missing: fc.weight"),
    ],
    ids=["family", "variant", "missing", "nan", "extra", "bias", "kernel"],
)
def test_differences_are_the_error(file, capsys, arguments, arrays, said):
    change(file, **arrays)
    assert main(["zoo", "check", str(file), *arguments]) == WEIGHTS
    assert re.search(said, capsys.readouterr().err)


def test_what_no_family_knows_is_an_error_that_names_the_nearest(tmp_path, capsys):
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"conv1.weight": np.ones((2, 2), np.float32), "a": np.ones(1), "b": np.ones(1)}, path)
    assert main(["zoo", "check", str(path)]) == WEIGHTS
    said = capsys.readouterr().err
    assert "must hold the tensors of a family of tljax/networks/families/, in its own naming" in said
    assert "Nearest is family" in said
    assert "config.model.family" not in said  # nobody has set it


@pytest.fixture
def encoder(tmp_path):
    """A folder of a tiny RoBERTa as sentence-transformers writes it: no name begins with that of the family."""
    family = find("families", "roberta")
    shape = dataclasses.replace(family.VARIANTS["base"], width=8, heads=2, depth=1, units=12, vocabulary=20,
                                positions=16, types=1, pooling="class")  # fmt: skip
    network = Network(family.build(shape), nn.Dense(1))
    ours = flatten(placement.shapes(network, tokens.example())["params"])
    rows = {row.published: (ours[row.path].shape, row.layout) for row in family.names(shape) if row.path in ours}
    arrays = draw.weights({name: layouts.published_shape(*row) for name, row in rows.items()})
    bare = {name.removeprefix("roberta."): x for name, x in arrays.items() if name.startswith("roberta.")}
    safetensors.numpy.save_file(bare, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(family.describe(shape, ())))
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["--family=roberta"]])
def test_a_text_encoder_is_told_by_its_names_and_config_and_run(encoder, arguments, capsys):
    assert main(["zoo", "check", str(encoder), *arguments]) == 0
    said = capsys.readouterr().out
    assert "network: roberta of sizes of its own" in said and "card: a text encoder has no pixels to scale" in said
    rows = [line.split() for line in said.splitlines() if line.strip().startswith(("embed", "block0"))]
    assert [" ".join(row[3:]) for row in rows] == ["8 x 8", "8 x 8"]
    assert "ran on tokens at random: features 8, all finite; it has no classifier" in said
    assert main(["zoo", "check", str(encoder), "--picture=x.png"]) == CONFIG
    assert "--picture needs weights that see pictures; 'roberta' reads texts" in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_is_an_error(file, capsys):
    assert main(["zoo", "check", str(file), f"--picture={file}"]) == DATA
    assert f"--picture must be a readable picture; '{file}' is not a whole picture" in capsys.readouterr().err


def test_a_run_is_a_file_too(file, capsys):
    """A folder with model.json: sizes that stand in no table."""
    folder = file.parent / "model"
    folder.mkdir()
    file.rename(folder / "model.safetensors")
    (folder / "card.json").write_text(file.with_suffix(".card.json").read_text())
    sizes = dataclasses.asdict(dataclasses.replace(small.TINY, width=8))
    (folder / "model.json").write_text(json.dumps({"family": "resnet", "variant": sizes}))
    assert cards.beside(folder)
    assert main(["zoo", "check", str(folder)]) == 0
    assert "network: resnet tiny, " in capsys.readouterr().out
