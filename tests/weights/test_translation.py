"""The spellings of other libraries: recognised by names, translated to the family's own, joined where it joins."""

import re

import numpy as np
import pytest

from tljax.core.errors import WeightsError
from tljax.core.plugins import available, find
from tljax.core.types import Rule, Spelling
from tljax.networks.families import bert, bit, convnext, densenet, efficientnet, lenet, mobilenet, resnet, vgg, vit
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.weights import placement, translation
from tljax.weights.spellings import timm, torchvision, transformers

CLASSES = 3
SMALL = {
    "resnet": (resnet, resnet.Variant((1, 2), bottleneck=True, width=4)),
    "vit": (vit, vit.Variant(patch=8, width=8, heads=2, depth=2)),
    "convnext": (convnext, convnext.Variant((1, 2), (4, 8))),
    "bit": (bit, bit.Variant((1, 2), width=32)),
    "densenet": (densenet, densenet.Variant((2, 1), growth=2, width=4)),
    "mobilenet": (mobilenet, mobilenet.VARIANTS["v2"]),
    "efficientnet": (efficientnet, efficientnet.scaled(0.5, 0.5, 0.2)),
    "vgg": (vgg, vgg.Variant((1, 1, 1, 1, 1), batch_norm=True, widths=(2, 2, 2, 2, 2), dense=4)),
}


def published(family: str) -> dict[str, np.ndarray]:
    """Arrays of a small network under the family's own names, each number once."""
    module, shape = SMALL[family]
    network = Network(module.build(shape), classification.head(CLASSES))
    empty = placement.shapes(network, np.zeros((1, 32, 32, 3), np.float32))
    rng = np.random.default_rng(1)
    leaves = {c: fill(tree, rng) for c, tree in empty.items()}
    return placement.publish(leaves, module.names(shape))


def fill(tree, rng):
    return {key: fill(x, rng) if isinstance(x, dict) else rng.random(x.shape, np.float32) for key, x in tree.items()}


# (library, family) -> our name -> theirs, or the three that it is joined of; and how theirs lies.
def transformers_resnet(name):
    kinds = {"conv": "convolution", "bn": "normalization"}
    if match := re.fullmatch(r"(conv|bn)1\.(\w+)", name):
        return f"resnet.embedder.embedder.{kinds[match[1]]}.{match[2]}"
    if match := re.fullmatch(r"layer(\d)\.(\d)\.(conv|bn)(\d)\.(\w+)", name):
        s, b, kind, c, leaf = match.groups()
        return f"resnet.encoder.stages.{int(s) - 1}.layers.{b}.layer.{int(c) - 1}.{kinds[kind]}.{leaf}"
    if match := re.fullmatch(r"layer(\d)\.(\d)\.downsample\.(\d)\.(\w+)", name):
        s, b, i, leaf = match.groups()
        return f"resnet.encoder.stages.{int(s) - 1}.layers.{b}.shortcut.{list(kinds.values())[int(i)]}.{leaf}"
    return name.replace("fc.", "classifier.1.")


def transformers_vit(name):
    block = re.fullmatch(r"blocks\.(\d+)\.(.*)\.(weight|bias)", name)
    if block:
        i, layer, leaf = block.groups()
        inside = {
            "norm1": "layernorm_before",
            "norm2": "layernorm_after",
            "attn.proj": "attention.output.dense",
            "mlp.fc1": "intermediate.dense",
            "mlp.fc2": "output.dense",
        }
        if layer == "attn.qkv":
            parts = "query", "key", "value"
            return tuple(f"vit.encoder.layer.{i}.attention.attention.{part}.{leaf}" for part in parts)
        return f"vit.encoder.layer.{i}.{inside[layer]}.{leaf}"
    name = name.replace("pos_embed", "vit.embeddings.position_embeddings")
    name = name.replace("patch_embed.proj", "vit.embeddings.patch_embeddings.projection").replace(
        "head.", "classifier."
    )
    return (
        name.replace("cls_token", "vit.embeddings.cls_token")
        if "cls" in name
        else re.sub(r"^norm", "vit.layernorm", name)
    )


def torchvision_vit(name):
    swaps = {
        r"blocks\.(\d+)": r"encoder.layers.encoder_layer_\1",
        r"norm(\d)": r"ln_\1",
        r"attn\.qkv\.": "self_attention.in_proj_",
        r"attn\.proj": "self_attention.out_proj",
        r"mlp\.fc1": "mlp.0",
        r"mlp\.fc2": "mlp.3",
        r"^norm\.": "encoder.ln.",
        r"^head\.": "heads.head.",
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
        r"patch_embed\.proj": "conv_proj",
    }
    for ours, theirs in swaps.items():
        name = re.sub(ours, theirs, name)
    return name


def of_convnext(block, down, stem, inside, last):
    """The names of a library by the words in which libraries differ."""

    def spell(name):
        if match := re.fullmatch(r"features\.0\.(\d)\.(\w+)", name):
            return f"{stem[int(match[1])]}.{match[2]}"
        if match := re.fullmatch(r"features\.(\d+)\.(\d)\.(weight|bias)", name):
            return f"{down.format(s=int(match[1]) // 2, i=match[2])}.{match[3]}"
        if match := re.fullmatch(r"features\.(\d+)\.(\d+)\.(?:block\.)?(\w+)(.*)", name):
            return f"{block.format(s=int(match[1]) // 2, b=match[2])}.{inside[match[3]]}{match[4]}"
        return re.sub(r"classifier\.(\d)", lambda match: last[match[1]], name)

    return spell


def timm_vgg(name):
    return (
        name.replace("classifier.0", "pre_logits.fc1")
        .replace("classifier.3", "pre_logits.fc2")
        .replace("classifier.6", "head.fc")
    )


def bit_as(unit, stem, norm, head):
    """The names of a library by the words in which libraries differ."""

    def spell(name):
        leaf = "bias" if name.endswith(("beta", "bias")) else "weight"
        if match := re.match(r"resnet/block(\d)/unit(\d+)/(\w)/(\w+)", name):
            s, u, letter, kind = match.groups()
            layer = {"group_norm": "norm", "standardized_conv2d": "conv"}.get(kind)
            layer = f"{layer}{'abc'.index(letter) + 1}" if layer else "downsample.conv"
            return f"{unit.format(s=int(s) - 1, u=int(u) - 1)}.{layer}.{leaf}"
        return f"{stem if 'root' in name else head if 'head' in name else norm}.{leaf}"

    return spell


def inverted_as(family, block, first, others, ends):
    """The names of a library of the layers of blocks, of the first and the others, and of both ends."""

    def spell(name):
        module, shape = SMALL[family]
        _, stage, *rest = next(row.path for row in module.names(shape) if row.published == name).split("/")
        leaf = name.rpartition(".")[2]
        if not stage.startswith("stage"):
            return f"{ends[stage, rest[0] if len(rest) > 1 else '']}.{leaf}"
        s, b, layer = int(stage[5:]) - 1, int(rest[0][5:]), "/".join(rest[1:3])
        i = sum(map(len, shape.blocks[:s])) + b
        return f"{block(s, b, i)}.{(first if s == 0 else others)[layer]}.{leaf}"

    return spell


KINDS = {"conv": "convolution", "bn": "normalization"}
V2_LAYERS = {"expand": "expand_1x1", "depthwise": "conv_3x3", "project": "reduce_1x1"}
V2_LAYERS = {f"{ours}/{kind}": f"{theirs}.{KINDS[kind]}" for ours, theirs in V2_LAYERS.items() for kind in KINDS}
EFFICIENT_LAYERS = {
    "expand/conv": "expansion.expand_conv",
    "expand/bn": "expansion.expand_bn",
    "depthwise/conv": "depthwise_conv.depthwise_conv",
    "depthwise/bn": "depthwise_conv.depthwise_norm",
    "project/conv": "projection.project_conv",
    "project/bn": "projection.project_bn",
}
TIMM_FIRST = {"depthwise/conv": "conv_dw", "depthwise/bn": "bn1", "project/conv": "conv_pw", "project/bn": "bn2"}
TIMM_OTHERS = {"expand/conv": "conv_pw", "expand/bn": "bn1", "depthwise/conv": "conv_dw", "depthwise/bn": "bn2"}
TIMM_OTHERS |= {"project/conv": "conv_pwl", "project/bn": "bn3"}
EXCITE = {"squeeze_excite/reduce": "se.conv_reduce", "squeeze_excite/expand": "se.conv_expand"}
TIMM_ENDS = {("stem", "conv"): "conv_stem", ("stem", "bn"): "bn1", ("top", "conv"): "conv_head", ("top", "bn"): "bn2"}
TIMM_ENDS |= {("kernel", ""): "classifier", ("bias", ""): "classifier"}
LIBRARIES = {
    ("transformers", "bit"): bit_as(
        "bit.encoder.stages.{s}.layers.{u}", "bit.embedder.convolution", "bit.norm", "classifier.1"
    ),
    ("timm", "bit"): bit_as("stages.{s}.blocks.{u}", "stem.conv", "norm", "head.fc"),
    ("transformers", "mobilenet"): inverted_as(
        "mobilenet",
        lambda s, b, i: f"mobilenet_v2.layer.{i - 1}" if i else "mobilenet_v2.conv_stem",
        V2_LAYERS,
        V2_LAYERS,
        {("stem", kind): f"mobilenet_v2.conv_stem.first_conv.{KINDS[kind]}" for kind in KINDS}
        | {("top", kind): f"mobilenet_v2.conv_1x1.{KINDS[kind]}" for kind in KINDS}
        | {("kernel", ""): "classifier", ("bias", ""): "classifier"},
    ),
    ("transformers", "efficientnet"): inverted_as(
        "efficientnet",
        lambda s, b, i: f"efficientnet.encoder.blocks.{i}",
        EFFICIENT_LAYERS | {name: name.replace("/", ".") for name in EXCITE},
        EFFICIENT_LAYERS | {name: name.replace("/", ".") for name in EXCITE},
        {
            ("stem", "conv"): "efficientnet.embeddings.convolution",
            ("stem", "bn"): "efficientnet.embeddings.batchnorm",
            ("top", "conv"): "efficientnet.encoder.top_conv",
            ("top", "bn"): "efficientnet.encoder.top_bn",
            ("kernel", ""): "classifier",
            ("bias", ""): "classifier",
        },
    ),
    ("timm", "mobilenet"): inverted_as(
        "mobilenet", lambda s, b, i: f"blocks.{s}.{b}", TIMM_FIRST, TIMM_OTHERS, TIMM_ENDS
    ),
    ("timm", "efficientnet"): inverted_as(
        "efficientnet", lambda s, b, i: f"blocks.{s}.{b}", TIMM_FIRST | EXCITE, TIMM_OTHERS | EXCITE, TIMM_ENDS
    ),
    ("transformers", "resnet"): transformers_resnet,
    ("transformers", "vit"): transformers_vit,
    ("torchvision", "vit"): torchvision_vit,
    ("torchvision", "densenet"): lambda name: re.sub(r"(denselayer\d+\.(?:norm|conv))", r"\1.", name),
    ("transformers", "convnext"): of_convnext(
        "convnext.encoder.stages.{s}.layers.{b}",
        "convnext.encoder.stages.{s}.downsampling_layer.{i}",
        ("convnext.embeddings.patch_embeddings", "convnext.embeddings.layernorm"),
        {"layer_scale": "layer_scale_parameter", "0": "dwconv", "2": "layernorm", "3": "pwconv1", "5": "pwconv2"},
        {"0": "convnext.layernorm", "2": "classifier"},
    ),
    ("timm", "convnext"): of_convnext(
        "stages.{s}.blocks.{b}",
        "stages.{s}.downsample.{i}",
        ("stem.0", "stem.1"),
        {"layer_scale": "gamma", "0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"},
        {"0": "head.norm", "2": "head.fc"},
    ),
    ("timm", "vgg"): timm_vgg,
}


def spelled(library: str, family: str) -> dict[str, np.ndarray]:
    """The same arrays as that library saves them."""
    found = {}
    for name, array in published(family).items():
        theirs = LIBRARIES[library, family](name)
        if isinstance(theirs, tuple):
            found |= dict(zip(theirs, np.split(array, len(theirs)), strict=True))
        elif family == "bit" and array.ndim == 4:  # (H, W, I, O) -> (O, I, H, W); of the classifier (O, I) in one
            turned = array.transpose(3, 2, 0, 1)
            found[theirs] = turned[:, :, 0, 0] if theirs == "classifier.1.weight" else turned
        elif array.ndim == 3 and "layer_scale" in name:
            found[theirs] = array.reshape(-1)
        elif "pre_logits" in theirs and array.ndim == 2:
            side = 7 if "fc1" in theirs else 1
            found[theirs] = array.reshape(len(array), -1, side, side)
        else:
            found[theirs] = array
    return found


@pytest.mark.parametrize(("library", "family"), LIBRARIES)
def test_a_spelling_is_recognised_and_translated_exactly(library, family):
    theirs, ours = spelled(library, family), published(family)
    spelling = translation.recognise(theirs, family, "a file")
    assert spelling is not None and (spelling.library, spelling.family) == (library, family)
    found = translation.translate(theirs, spelling, "a file")
    assert set(found) == set(ours)
    for name, array in ours.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_dinov3_of_convnext_is_recognised_and_translated_exactly():
    layers = {"layer_scale": "gamma", "0": "depthwise_conv", "2": "layer_norm", "3": "pointwise_conv1"}
    spell = of_convnext(
        "model.stages.{s}.layers.{b}",
        "model.stages.{s}.downsample_layers.{i}",
        ("model.stages.0.downsample_layers.0", "model.stages.0.downsample_layers.1"),
        layers | {"5": "pointwise_conv2"},
        {"0": "layer_norm", "2": "none"},
    )
    ours = {name: x for name, x in published("convnext").items() if not name.startswith("classifier.2.")}
    theirs = {spell(name): x.reshape(-1) if "layer_scale" in name else x for name, x in ours.items()}
    spelling = translation.recognise(theirs, "convnext", "a file")
    assert spelling is not None and spelling.library == "transformers"
    found = translation.translate(theirs, spelling, "a file")
    assert {name: x.tobytes() for name, x in found.items()} == {name: x.tobytes() for name, x in ours.items()}


V2 = convnext.Variant((1, 2), (4, 8), layer_scale=False, response_norm=True)


@pytest.mark.parametrize("library", ["its authors", "transformers"])
def test_version_2_of_convnext_is_recognised_and_translated_exactly(library):
    network = Network(convnext.build(V2), classification.head(3))
    empty = placement.shapes(network, np.zeros((1, 32, 32, 3), np.float32))
    variables = {c: fill(tree, np.random.default_rng(1)) for c, tree in empty.items()}
    ours, theirs = placement.publish(variables, convnext.names(V2)), {}
    for name, x in ours.items():
        block = r"stages\.(\d)\.blocks\.(\d)\."
        if library == "transformers":
            swaps = {
                block: r"encoder.stages.\1.layers.\2.",
                r"stages\.1\.downsample": "encoder.stages.1.downsampling_layer",
                r"stem\.0": "embeddings.patch_embeddings",
                r"stem\.1": "embeddings.layernorm",
                r"\.norm\.": ".layernorm.",
                r"^head\.layernorm": "layernorm",
                r"^head\.fc": "classifier",
            }
        else:
            swaps = {block: r"stages.\1.\2.", r"stages\.1\.downsample": "downsample_layers.1",
                     r"stem\.": "downsample_layers.0.", r"^head\.norm": "norm", r"^head\.fc": "head",
                     r"grn\.weight": "grn.gamma", r"grn\.bias": "grn.beta"}  # fmt: skip
        swaps |= {"mlp\\.grn": "grn", "mlp\\.fc": "pwconv", "conv_dw": "dwconv"}
        spelled = name
        for old, new in swaps.items():
            spelled = re.sub(old, new, spelled)
        theirs[spelled] = x.reshape(1, 1, 1, -1) if "grn" in spelled else x
    spelling = translation.recognise(theirs, "convnext", "a file")
    assert spelling is not None and spelling.library == library
    found = translation.translate(theirs, spelling, "a file")
    assert {name: x.tobytes() for name, x in found.items()} == {name: x.tobytes() for name, x in ours.items()}
    assert translation.recognise(ours, "convnext", "a file") is None
    assert convnext.infer(ours, None) == V2


def test_every_spelling_is_tested():
    v2 = {("authors", "convnext"), ("transformers_convnext_v2", "convnext")}  # above
    elsewhere = v2 | {("authors", "vit"), ("transformers_vit", "vit"), ("timm", "vit")}  # test_vit_spellings.py
    elsewhere |= {("timm_regnet_swin", "regnet"), ("timm_regnet_swin", "swin")}  # test_stages_of_timm.py
    rows = [(name, row.family) for name in available("spellings") for row in find("spellings", name).SPELLINGS]
    assert set(rows) == set(LIBRARIES) | elsewhere


@pytest.mark.parametrize("family", SMALL)
def test_a_familys_own_naming_needs_no_translation(family):
    assert translation.recognise(published(family), family, "a file") is None


def test_both_generations_of_transformers_are_read():
    """Modules of transformers 5 name a ViT's layers otherwise than its files do."""
    new = {"vit.encoder.layer.": "vit.layers.", "attention.attention.query": "attention.q_proj", "vit.": ""}
    new |= {"attention.attention.key": "attention.k_proj", "attention.attention.value": "attention.v_proj"}
    new |= {"attention.output.dense": "attention.o_proj", "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2"}
    theirs = {}
    for name, array in spelled("transformers", "vit").items():
        for old, changed in new.items():
            name = name.replace(old, changed)
        theirs[name] = array
    assert "layers.0.attention.q_proj.weight" in theirs
    found = translation.translate(theirs, transformers.SPELLINGS[1], "a file")
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in published("vit").items()
    }


def test_what_no_function_needs_is_left_out_and_what_is_unknown_stays():
    theirs = spelled("transformers", "vit") | {"pooler.dense.weight": np.ones(1), "extra": np.ones(1)}
    found = translation.translate(theirs, transformers.SPELLINGS[1], "a file")
    assert set(found) - set(published("vit")) == {"extra"}


def test_two_tensors_that_become_one_are_refused():
    theirs = spelled("transformers", "vit")
    theirs["vit.layers.0.attention.q_proj.weight"] = np.ones(1)
    with pytest.raises(
        WeightsError, match=r"every tensor once; it holds vit\..*query\.weight and vit\.layers\.0.*q_proj"
    ):
        translation.translate(theirs, transformers.SPELLINGS[1], "a file")


def test_another_family_in_a_known_spelling_is_named():
    message = r"'a file' holds a vit as transformers names it \(40 of 40 tensors\).*Set --config\.model\.family=vit"
    with pytest.raises(WeightsError, match=message):
        translation.recognise(spelled("transformers", "vit"), "resnet", "a file")


def test_a_file_of_another_family_shows_the_nearest_and_the_first_differences():
    names = [row.published for row in vit.names("small16") if row.published != "blocks.3.norm1.bias"] + ["mystery"]
    with pytest.raises(WeightsError) as error:
        translation.recognise(names, "resnet", "a file")
    lines = str(error.value).splitlines()
    assert "'a file' must hold the tensors of config.model.family 'resnet'" in lines[0]
    assert lines[1].startswith("Nearest is family 'vit', variant 'tiny16', with 99% of the names")
    assert lines[2:4] == ["  1 missing: blocks.3.norm1.bias", "  1 not in it: mystery"]


def test_the_nearest_may_be_another_librarys_spelling():
    names = [*spelled("transformers", "convnext")][:20] + [f"strange.{i}" for i in range(30)]
    lines = translation.strange(names, "a file").splitlines()
    assert lines[1] == "Nearest is family 'convnext' as transformers names it, which knows 40% of the names:"
    assert lines[2].startswith("  30 unknown: strange.0, strange.1, strange.10")


def test_what_is_near_to_nothing_is_said_so():
    lines = translation.strange([f"strange.{i}" for i in range(30)], "a file").splitlines()
    assert lines[1:] == ["No family is near: none has 5% of the names. Choose another file."]


def test_what_a_wrapper_puts_before_every_name_is_named():
    names = [f"module.{row.published}" for row in resnet.names("18") if row.published != "fc.bias"]
    with pytest.raises(WeightsError) as error:
        translation.recognise(names, "resnet", "a file")
    assert str(error.value).splitlines()[1:-1] == [
        "Nearest is family 'resnet', variant '18', with 99% of the names:",
        "  every name begins with 'module.': save the tensors without it",
        "  1 missing: fc.bias",
    ]


def test_a_text_encoder_without_its_familys_prefix_is_the_nearest():
    names = [row.published.removeprefix("bert.") for row in bert.names("minilm_l6_mean")]
    with pytest.raises(WeightsError, match=r"Nearest is family 'bert', variant '\w+', with 100% of the names"):
        translation.recognise(names, "resnet", "a file")


def test_a_file_of_nothing_known_shows_only_the_first_names():
    names = [*(row.published for row in lenet.names("small")), *(f"a{i}" for i in range(11))]
    with pytest.raises(
        WeightsError, match=r"Nearest is family 'lenet'(?s:.*)11 not in it: a0, a1, a10, a2, a3, \.\.\."
    ):
        translation.recognise(names, "lenet", "a file")


# What the config beside a file says

TOY = Spelling("x", "vit", (Rule("a", None),), {"heads": ("n_heads", None), "eps": ("eps", 1e-12)}, {"act": "gelu"})


def test_facts_are_the_configs_or_the_librarys_defaults():
    assert translation.facts({"n_heads": 4, "eps": 1e-5, "act": "gelu", "else": 1}, TOY, "a file") == {
        "heads": 4,
        "eps": 1e-5,
    }
    assert translation.facts({}, TOY, "a file") == {"eps": 1e-12}


def test_positions_of_a_grid_that_is_not_square_are_refused():
    spelling = transformers.SPELLINGS[1]
    for config in ({}, {"image_size": 384}, {"image_size": [64, 64]}):
        assert translation.facts(config, spelling, "a file") == {"eps": 1e-12}
    with pytest.raises(WeightsError, match=r"square pictures; .* says image_size \[32, 128\]"):
        translation.facts({"image_size": [32, 128]}, spelling, "a file")


def test_what_is_not_computed_here_is_refused():
    with pytest.raises(WeightsError, match=r"config\.json beside 'a file' .* act 'relu' \(must be 'gelu'\)"):
        translation.facts({"act": "relu"}, TOY, "a file")


@pytest.mark.parametrize("library", [timm, torchvision, transformers])
def test_no_name_fits_two_rules_of_a_spelling(library):
    for row in (row for row in library.SPELLINGS if (row.library, row.family) in LIBRARIES):
        for name in spelled(row.library, row.family):
            assert sum(re.fullmatch(rule.pattern, name) is not None for rule in row.rules) <= 1, name
