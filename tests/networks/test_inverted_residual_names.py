"""Other libraries' names of inverted residual blocks become torchvision's, and tensors show a network's sizes."""

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.types import Spelling
from tljax.networks import inverted_residual_names as names
from tljax.networks.families import efficientnet, mobilenet
from tljax.networks.inverted_residual import Sizes, Variant, padded
from tljax.serving.saved_model import variant_as_json
from tljax.weights import translation

VARIANTS = [(mobilenet, name) for name in mobilenet.VARIANTS] + [(efficientnet, name) for name in ("b0", "b4", "v2_s")]


def published(module: Any, shape: Variant) -> dict[str, np.ndarray]:
    """The tensors of a network of this shape under torchvision's names, without numbers of their own."""
    channels, arrays = {"backbone/stem": shape.stem, "backbone/top": shape.top, "backbone/fc": shape.dense}, {}
    kernels, inputs, given = {}, {}, shape.stem
    for s, stage in enumerate(shape.blocks, start=1):
        for b, sizes in enumerate(stage):
            ours = f"backbone/stage{s}/block{b}"
            channels |= {f"{ours}/expand": sizes.inner, f"{ours}/depthwise": sizes.inner, f"{ours}/project": sizes.out}
            channels[f"{ours}/squeeze_excite"] = sizes.squeezed
            spatial = "depthwise" if not sizes.fused else "project" if sizes.inner == given else "expand"
            kernels[f"{ours}/{spatial}"], inputs[f"{ours}/project"] = sizes.kernel, sizes.inner
            given = sizes.out
    for row in module.names(shape):
        part = row.path.rsplit("/", 2)[0]
        kernel = kernels.get(part, 1)
        kind = 4 if row.path.endswith("kernel") else 1
        arrays[row.published] = np.empty(
            (channels.get(part, 1), inputs.get(part, 1), kernel, kernel)[:kind], np.float16
        )
    return arrays


def by_what_they_do(module: Any, shape: Variant, arrays: dict[str, np.ndarray], *, staged: bool) -> Any:
    """The same tensors as spellings name them: (theirs -> array, theirs -> torchvision's)."""
    renamed, count = {}, iter(range(1000))
    number: dict[tuple[str, str], int] = {}
    for row in module.names(shape):
        _, stage, *rest = row.path.split("/")
        leaf = row.published.rpartition(".")[2]
        theirs = row.published
        if stage.startswith("stage"):
            block, part, kind = rest[:3]
            i = number.setdefault((stage, block), next(count) if (stage, block) not in number else 0)
            place = f"{stage[5:]}.{block[5:]}" if staged else f"0.{i}"
            theirs = f"blocks.{place}.{part}.{kind}.{leaf}"
        elif stage == "top":
            theirs = f"top.{rest[0]}.{leaf}"
        renamed[theirs] = row.published
    return {theirs: arrays[ours] for theirs, ours in renamed.items()}, renamed


@pytest.mark.parametrize("staged", [True, False])
@pytest.mark.parametrize(("module", "variant"), VARIANTS)
def test_every_tensor_gets_the_name_that_torchvision_gives_it(module, variant, staged):
    shape = module.variant_of(variant)
    arrays = published(module, shape)
    theirs, renamed = by_what_they_do(module, shape, arrays, staged=staged)
    found = names.arranged(theirs, counted=module is mobilenet)
    assert set(found) == set(arrays)
    for name, ours in renamed.items():
        assert found[ours] is theirs[name]


TIMM_FIRST = {"depthwise/conv": "conv_dw", "depthwise/bn": "bn1", "project/conv": "conv_pw", "project/bn": "bn2"}
TIMM = {"expand/conv": "conv_pw", "expand/bn": "bn1", "depthwise/conv": "conv_dw", "depthwise/bn": "bn2"}
TIMM |= {"project/conv": "conv_pwl", "project/bn": "bn3"}
EXCITE = {"squeeze_excite/reduce": "se.conv_reduce", "squeeze_excite/expand": "se.conv_expand"}


def as_timm(shape: Variant) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A MobileNetV3's tensors under timm's names, and the same under torchvision's."""
    last = len(shape.blocks)
    ends = {"stem/conv": "conv_stem", "stem/bn": "bn1", "fc/dense": "conv_head", "head": "classifier"}
    ends |= {"top/conv": f"blocks.{last}.0.conv", "top/bn": f"blocks.{last}.0.bn1"}
    ours, theirs = published(mobilenet, shape), {}
    ours["classifier.0.weight"] = np.arange(shape.dense * 3.0).reshape(-1, 3)
    for row in mobilenet.names(shape):
        place, array = row.path.removeprefix("backbone/").rpartition("/")[0], ours[row.published]
        if match := re.fullmatch(r"stage(\d)/block(\d)/(.*)", place):
            layer = ((TIMM_FIRST if match[1] == "1" else TIMM) | EXCITE)[match[3]]
            place = f"blocks.{int(match[1]) - 1}.{match[2]}.{layer}"
        else:
            place = ends[place]
        array = array[:, :, None, None] if place == "conv_head" and array.ndim == 2 else array
        theirs[f"{place}.{row.published.rpartition('.')[2]}"] = array
    return theirs, ours


def recognised(theirs: Iterable[str]) -> Spelling:
    spelling = translation.recognise(theirs, "mobilenet", "a file")
    assert spelling is not None and spelling.library == "timm"
    return spelling


@pytest.mark.parametrize("variant", ["v3_small", "v3_large"])
def test_a_mobilenet_v3_is_read_as_timm_names_it(variant):
    shape = mobilenet.VARIANTS[variant]
    theirs, ours = as_timm(shape)
    spelling = recognised(theirs)
    found = translation.translate(theirs, spelling, "a file")
    np.testing.assert_array_equal(found["classifier.0.weight"], ours.pop("classifier.0.weight"))
    assert set(found) == {*ours, "classifier.0.weight"}
    assert all(found[name] is array for name, array in ours.items())
    assert mobilenet.infer(found, None) == shape
    for name in theirs:
        assert sum(re.fullmatch(rule.pattern, name) is not None for rule in spelling.rules) == 1, name


def test_what_a_mobilenet_v3_of_timm_does_not_show():
    theirs, _ = as_timm(mobilenet.VARIANTS["v3_large"])
    spelling = recognised(theirs)
    facts = lambda name: translation.facts({"architecture": name}, spelling, "a file")  # noqa: E731
    assert facts("mobilenetv3_large_075") == {"padding": "half", "epsilon": 1e-5, "momentum": 0.9}
    assert facts("tf_mobilenetv3_large_100") == {"padding": "same", "epsilon": 1e-3, "momentum": 0.9}
    for relative in ("mobilenetv3_rw", "mobilenetv3_large_150d", "tf_mobilenetv3_large_minimal_100", "fbnetv3_b"):
        with pytest.raises(WeightsError, match=f"must be mobilenetv3_large_N or .*'a file' says '{relative}'"):
            facts(relative)
    with pytest.raises(WeightsError, match='put timm\'s config.json, which has "architecture", beside'):
        translation.facts({}, spelling, "a file")


def test_a_deeper_relative_of_mobilenet_v3_is_none_of_another_family():
    theirs, _ = as_timm(mobilenet.VARIANTS["v3_large"])
    deeper = [name.replace("blocks.6.0.", "blocks.6.1.") for name in theirs if name.startswith("blocks.6.")]
    assert recognised([*theirs, *deeper]) == recognised(theirs)


def test_a_first_block_that_would_add_its_input_is_refused():
    shape = Variant(8, ((Sizes(8, 8),), (Sizes(48, 16, stride=2),)), top=16, layers="conv")
    theirs, _ = by_what_they_do(mobilenet, shape, published(mobilenet, shape), staged=False)
    names.arranged(theirs, counted=True)
    with pytest.raises(WeightsError, match=r"as many channels as its stem, 8\. In tljax such a block adds its input"):
        names.arranged(theirs, counted=True, first_adds=False)


def test_a_block_without_its_projection_is_named():
    shape = mobilenet.VARIANTS["v2"]
    theirs, _ = by_what_they_do(mobilenet, shape, published(mobilenet, shape), staged=True)
    del theirs["blocks.2.1.project.conv.weight"]
    with pytest.raises(WeightsError, match=r"these have none: blocks\.2\.1\. The file is damaged, or its"):
        names.arranged(theirs, counted=True)


@pytest.mark.parametrize(("module", "variant"), VARIANTS)
def test_sizes_show_in_tensors(module, variant):
    shape = module.variant_of(variant)
    assert module.infer(published(module, shape), None) == shape
    changed = tuple(dataclasses.replace(one, inner=one.inner + 8, kernel=one.kernel + 2) for one in shape.blocks[-1])
    wider = dataclasses.replace(shape, top=shape.top + 24, blocks=(*shape.blocks[:-1], changed))
    found = module.infer(published(module, wider), None)
    assert (found.stem, found.top, found.blocks) == (shape.stem, wider.top, wider.blocks)
    assert str(found).startswith("its own sizes (blocks ") and len(str(found)) < 100


def test_more_and_narrower_blocks_are_read_too():
    deep = efficientnet.scaled(1.0, 1.5, 0.2)
    assert efficientnet.infer(published(efficientnet, deep), None).blocks == deep.blocks
    narrow = mobilenet.VARIANTS["v2"]
    blocks = [list(stage) for stage in narrow.blocks]
    blocks[0] = [dataclasses.replace(blocks[0][0], out=24)]  # as wide as the stage behind it
    narrow = dataclasses.replace(narrow, blocks=tuple(map(tuple, blocks)))
    assert mobilenet.infer(published(mobilenet, narrow), None).blocks == narrow.blocks
    first = mobilenet.VARIANTS["v2"]
    deep = dataclasses.replace(first, blocks=(*first.blocks[:6], (first.blocks[6][0], Sizes(1920, 320))))
    assert mobilenet.infer(published(mobilenet, deep), None).blocks == deep.blocks


@pytest.mark.parametrize(("module", "variant"), VARIANTS)
def test_a_variant_is_written_as_json_and_read_again(module, variant):
    shape = dataclasses.replace(module.variant_of(variant), padding="after", halves=(1, 3))
    assert module.variant_of(json.loads(json.dumps(variant_as_json(shape)))) == shape
    with pytest.raises(ConfigError, match="must have the fields of Variant"):
        module.variant_of({"stem": 8})


@pytest.mark.parametrize(
    ("size", "kernel", "padding", "zeros"),
    [
        (8, 3, "half", (1, 1)),
        (8, 3, "same", (0, 1)),
        (9, 3, "same", (1, 1)),
        (8, 5, "same", (1, 2)),
        (9, 5, "same", (2, 2)),
        (9, 3, "after", (0, 1)),
        (9, 5, "after", (1, 2)),
        (9, 1, "same", (0, 0)),
    ],
)
def test_zeros_around_a_map_that_is_halved(size, kernel, padding, zeros):
    assert padded(size, kernel, 2, padding) == zeros
    assert padded(size, kernel, 1, padding) == (kernel // 2, kernel // 2)
