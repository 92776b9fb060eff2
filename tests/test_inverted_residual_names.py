"""Other libraries' names of inverted residual blocks become torchvision's, and tensors show a network's sizes."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from tljax import inverted_residual_names as names
from tljax.errors import ConfigError, WeightsError
from tljax.inverted_residual import Sizes, Variant, padded
from tljax.models import efficientnet, mobilenet
from tljax.saved_model import variant_as_json

VARIANTS = [(mobilenet, name) for name in mobilenet.VARIANTS] + [(efficientnet, name) for name in ("b0", "b4")]


def published(module: Any, shape: Variant) -> dict[str, np.ndarray]:
    """The tensors of a network of this shape under torchvision's names, without numbers of their own."""
    channels, arrays = {"backbone/stem": shape.stem, "backbone/top": shape.top, "backbone/fc": shape.dense}, {}
    kernels = {}
    for s, stage in enumerate(shape.blocks, start=1):
        for b, sizes in enumerate(stage):
            ours = f"backbone/stage{s}/block{b}"
            channels |= {f"{ours}/expand": sizes.inner, f"{ours}/depthwise": sizes.inner, f"{ours}/project": sizes.out}
            channels[f"{ours}/squeeze_excite"] = sizes.squeezed
            kernels[f"{ours}/depthwise"] = sizes.kernel
    for row in module.names(shape):
        part = row.path.rsplit("/", 2)[0]
        kernel = kernels.get(part, 1)
        kind = 4 if row.path.endswith("kernel") else 1
        arrays[row.published] = np.empty((channels.get(part, 1), 1, kernel, kernel)[:kind], np.float16)
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


def test_a_first_block_that_would_add_its_input_is_refused():
    shape = Variant(8, ((Sizes(8, 8),), (Sizes(48, 16, stride=2),)), top=16, layers="conv")
    theirs, _ = by_what_they_do(mobilenet, shape, published(mobilenet, shape), staged=False)
    names.arranged(theirs, counted=True)
    with pytest.raises(WeightsError, match="as many channels as its stem, 8, and would add its input"):
        names.arranged(theirs, counted=True, first_adds=False)


def test_a_block_without_its_projection_is_named():
    shape = mobilenet.VARIANTS["v2"]
    theirs, _ = by_what_they_do(mobilenet, shape, published(mobilenet, shape), staged=True)
    del theirs["blocks.2.1.project.conv.weight"]
    with pytest.raises(WeightsError, match=r"these have none: blocks\.2\.1\. The file is damaged, or of"):
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
