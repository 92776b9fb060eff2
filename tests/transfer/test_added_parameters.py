"""Which kernels a strategy is about, and where its own parameters lie."""

import jax
import numpy as np
import pytest

from tljax.core.errors import ConfigError
from tljax.transfer import added_parameters

STAGES = ("stem", "stage1", "fc")
KERNELS = {"fc": 3, "stage1": 2, "stem": 1}
PARAMS = {
    "backbone": {
        stage: {"layer": {"kernel": np.full((2, 2), value), "bias": np.zeros(2)}} for stage, value in KERNELS.items()
    },
    "head": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)},
}
GROUPS = {"all": ("backbone/stem/layer/kernel",), "head": ("head/kernel", "head/bias")}


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        ("backbone/.*/kernel", STAGES),
        ("stem..stage1", ("stem", "stage1")),
        ("fc stem", ("stem", "fc")),
        (".*stage1.*", ("stage1",)),
    ],
)
def test_words_choose_kernels_in_network_order(words, stages):
    chosen = added_parameters.kernels(PARAMS, STAGES, words)
    assert list(chosen) == [f"{stage}/layer/kernel" for stage in stages]
    assert [kernel[0, 0] for kernel in chosen.values()] == [KERNELS[stage] for stage in stages]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("stem stagge1 .*bias", r"'stagge1' matches no parameter \(did you mean 'stage1'\?\); '.\*bias' matches no"),
        ("head", "'head' matches no parameter"),
        ("", "it is empty"),
        ("(", r"config.strategy.kernels must hold stages or regular expressions; '\(' is none"),
    ],
)
def test_words_that_choose_no_kernel(words, message):
    with pytest.raises(ConfigError, match=message):
        added_parameters.kernels(PARAMS, STAGES, words)


def test_additions_lie_beside_the_backbone_in_a_group_before_the_head():
    leaves = {"stem/layer/kernel/a": np.ones(1), "stem/layer/kernel/b": np.ones(2)}
    params, groups = added_parameters.add(PARAMS, GROUPS, "lora", leaves)
    assert list(groups.items()) == [
        ("all", GROUPS["all"]),
        ("lora", ("lora/stem/layer/kernel/a", "lora/stem/layer/kernel/b")),
        ("head", GROUPS["head"]),
    ]
    assert params["lora"]["stem"]["layer"]["kernel"]["b"] is leaves["stem/layer/kernel/b"]
    assert added_parameters.network(params) == PARAMS and "lora" not in PARAMS


def test_a_group_cannot_have_the_name_of_an_addition():
    with pytest.raises(ConfigError, match="adds a group 'all'; give yours in config.groups another name"):
        added_parameters.add(PARAMS, GROUPS, "all", {})


def test_a_paths_key_does_not_depend_on_the_others():
    one, two = (added_parameters.keyed(jax.random.key(3), paths) for paths in (["b"], ["a", "b"]))
    assert (jax.random.key_data(one["b"]) == jax.random.key_data(two["b"])).all()
    assert (jax.random.key_data(two["a"]) != jax.random.key_data(two["b"])).any()
