"""Names of a BiT in torch's libraries; that whole files are read by them, tests/weights/test_translation.py holds."""

import re

import numpy as np
import pytest

from tljax.networks import bit_names

RULES = bit_names.rules(r"stem", r"s(\d)\.u(\d)\.", "norm", "head")


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("stem.weight", "resnet/root_block/standardized_conv2d/kernel"),
        ("s0.u2.conv3.weight", "resnet/block1/unit03/c/standardized_conv2d/kernel"),
        ("s3.u0.downsample.conv.weight", "resnet/block4/unit01/a/proj/standardized_conv2d/kernel"),
        ("s1.u9.norm1.bias", "resnet/block2/unit10/a/group_norm/beta"),
        ("norm.weight", "resnet/group_norm/gamma"),
        ("head.weight", "resnet/head/conv2d/kernel"),
        ("head.bias", "resnet/head/conv2d/bias"),
    ],
)
def test_published_names(name, published):
    found = [(rule, match) for rule in RULES if (match := re.fullmatch(rule.pattern, name))]
    assert len(found) == 1
    rule, match = found[0]
    assert rule.name(*(int(x) if x.isdigit() else x for x in match.groups())) == published


def test_kernels_of_both_kinds_of_head():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert bit_names.hwio(kernel)[3, 4, 2, 1] == kernel[1, 2, 3, 4]
    dense = np.arange(6).reshape(2, 3)
    assert bit_names.hwio(dense).shape == (1, 1, 3, 2)
    assert bit_names.hwio(dense)[0, 0, 2, 1] == dense[1, 2]
