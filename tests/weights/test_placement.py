"""Placing published arrays on initial variables: what differs is said at once, and what is left is drawn."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import small
from tljax.core.errors import WeightsError
from tljax.core.trees import flatten
from tljax.core.types import Card, Name, Published, Variables
from tljax.networks.families import resnet
from tljax.networks.network import Network
from tljax.weights import placement

CARD = Card(mean=(0.5,), std=(0.25,))
CLASSES = 3

# A network of two layers under published names, small enough to see whole.
NAMES = (
    Name("conv.weight", "params", "backbone/stem/conv/kernel", "conv"),
    Name("bn.weight", "params", "backbone/stem/bn/scale"),
    Name("bn.running_mean", "batch_stats", "backbone/stem/bn/mean"),
    Name("fc.weight", "params", "head/kernel", "dense"),
    Name("fc.bias", "params", "head/bias"),
)
SHAPES = {"conv.weight": (4, 3, 2, 2), "bn.weight": (4,), "bn.running_mean": (4,), "fc.weight": (3, 4), "fc.bias": (3,)}
HEAD = ("head/kernel", "head/bias")


def initial() -> Variables:
    return {
        "params": {
            "backbone": {"stem": {"conv": {"kernel": full(2, 2, 3, 4)}, "bn": {"scale": full(4)}}},
            "head": {"kernel": full(4, 3), "bias": full(3)},
        },
        "batch_stats": {"backbone": {"stem": {"bn": {"mean": full(4)}}}},
    }


def full(*shape: int) -> np.ndarray:
    return np.full(shape, -1, np.float32)


def arrays(**changed: np.ndarray | None) -> dict[str, np.ndarray]:
    """Every tensor counts up from 0; `conv__weight=` changes one, None leaves it out."""
    found = {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for name, shape in SHAPES.items()}
    found |= {name.replace("__", "."): array for name, array in changed.items()}
    return {name: array for name, array in found.items() if array is not None}


def place(found: dict[str, np.ndarray], **options):
    return placement.place(initial(), Published(found, CARD, "some.file"), NAMES, **options)


# Placing


class Two(nn.Module):
    """Two layers; `start` is what `placement` tells a network."""

    @nn.compact
    def __call__(self, x, start=None):
        return nn.Dense(3)(nn.Dense(64)(x))


def test_draws_are_the_same_however_well_they_are_compiled(monkeypatch):
    network, x = Two(), np.zeros((1, 32), np.float32)
    monkeypatch.setenv("XLA_FLAGS", "")
    quick = placement.init(network, x, seed=3)
    best = jax.jit(network.init, compiler_options={placement.LEVEL: 3})(jax.random.key(3), x)
    assert small.bits(quick["params"]) == small.bits(best["params"])


def test_place_moves_axes_and_keeps_the_head():
    variables, kept = place(arrays())
    kernel = variables["params"]["backbone"]["stem"]["conv"]["kernel"]
    assert kernel.shape == (2, 2, 3, 4)  # OIHW -> HWIO
    assert kernel[1, 0, 2, 3] == arrays()["conv.weight"][3, 2, 1, 0]
    assert variables["batch_stats"]["backbone"]["stem"]["bn"]["mean"].tolist() == [0, 1, 2, 3]
    assert set(kept) == {"head/kernel", "head/bias"}
    assert (variables["params"]["head"]["kernel"] == -1).all()


def test_place_takes_the_published_head_when_asked():
    variables, kept = place(arrays(), head=True)
    assert kept == ()
    np.testing.assert_array_equal(variables["params"]["head"]["kernel"], arrays()["fc.weight"].T)


def test_a_head_of_other_classes_is_no_difference_unless_it_is_asked_for():
    other = arrays(fc__weight=np.zeros((1000, 4)), fc__bias=None)
    assert set(place(other)[1]) == {"head/kernel", "head/bias"}
    with pytest.raises(WeightsError, match=r"missing: fc\.bias\n.*fc\.weight \(1000, 4\), must be \(3, 4\) here"):
        place(other, head=True)


def test_all_differences_stand_in_one_error():
    nan = np.array([1, np.nan, 2, 3], np.float32)
    found = arrays(conv__weight=np.zeros((4, 3, 3, 3)), bn__weight=None, bn__running_mean=nan, more=np.zeros(1))
    with pytest.raises(WeightsError) as error:
        place(found)
    assert str(error.value).splitlines() == [
        "The weights in 'some.file' must have the tensors of this network "
        "(config.model.family, config.model.variant); they differ:",
        "  1 missing: bn.weight",
        "  1 extra: more",
        "  1 wrong: conv.weight (4, 3, 3, 3), must be (4, 3, 2, 2) here",
        "  1 not finite: bn.running_mean",
        "Choose the variant that the file was saved from, or another file.",
    ]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_numbers_must_be_finite(bad):
    with pytest.raises(WeightsError, match="1 not finite: bn.weight"):
        place(arrays(bn__weight=np.array([0, 1, 2, bad])))


def test_variances_must_not_be_negative():
    names = (*NAMES[:2], Name("bn.running_var", "batch_stats", "backbone/stem/bn/var"), *NAMES[3:])
    start = initial()
    start["batch_stats"]["backbone"]["stem"]["bn"] = {"var": full(4)}
    found = arrays(bn__running_mean=None, bn__running_var=np.array([1, 0, -1e-9, 2], np.float32))
    with pytest.raises(WeightsError, match=r"1 negative variances: bn\.running_var\n"):
        placement.place(start, Published(found, CARD, "some.file"), names)


def test_numbers_must_be_finite_in_the_type_that_takes_them():
    with pytest.raises(WeightsError, match=r"1 not finite: bn\.weight"):
        place(arrays(bn__weight=np.array([0, 1, 2, 1e300])))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.bool_])
def test_numbers_must_be_floats(dtype):
    with pytest.raises(WeightsError, match=rf"1 not floats: bn\.weight \({np.dtype(dtype)}\)"):
        place(arrays(bn__weight=np.ones(4, dtype)))


def test_another_rank_is_a_wrong_shape():
    with pytest.raises(WeightsError, match=r"1 wrong: conv\.weight \(48,\), must be \(4, 3, 2, 2\) here"):
        place(arrays(conv__weight=np.zeros(48)))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("conv__weight", (2, 2, 3, 4)), ("conv__weight", (3, 4, 2, 2)), ("fc__weight", (4, 3))],
)
def test_a_transposed_kernel_is_called_so(name, shape):
    """In Flax's and Keras's layout, or another; a square one shows nothing by its shape."""
    found = arrays(**{name: np.zeros(shape)})
    published = name.replace("__", r"\.")
    with pytest.raises(WeightsError, match=rf"1 transposed: {published} \({shape[0]}, .*, must be "):
        place(found, head=True)


def test_tensors_whose_names_are_exchanged_are_wrong():
    whole = arrays()
    found = whole | {"bn.weight": whole["fc.bias"], "fc.bias": whole["bn.weight"]}
    with pytest.raises(
        WeightsError, match=r"2 wrong: bn\.weight \(3,\), must be \(4,\) here, fc\.bias \(4,\), must be"
    ):
        place(found, head=True)


def test_unused_patterns_match_whole_names():
    found = arrays(bn__num_batches_tracked=np.array(7))
    place(found, unused=resnet.UNUSED)
    with pytest.raises(WeightsError, match=r"1 extra: bn\.num_batches_tracked"):
        place(found)
    with pytest.raises(WeightsError, match="1 extra: x.num_batches_tracked.y"):
        place(arrays(**{"x.num_batches_tracked.y": np.zeros(1)}), unused=resnet.UNUSED)


def test_a_parameter_without_a_published_name_is_an_error():
    variables = initial()
    variables["params"]["backbone"]["extra"] = {"scale": full(1)}
    with pytest.raises(WeightsError, match="must cover every parameter; it lacks: backbone/extra/scale"):
        placement.place(variables, Published(arrays(), CARD, "some.file"), NAMES)


def test_a_published_name_without_a_parameter_is_an_error():
    variables = initial()
    del variables["batch_stats"]
    with pytest.raises(WeightsError, match=r"bn\.running_mean \(4,\), must be absent here"):
        placement.place(variables, Published(arrays(), CARD, "some.file"), NAMES)


def test_place_takes_the_parameters_dtype():
    half = {name: array.astype(np.float16) for name, array in arrays().items()}
    variables, _ = place(half | {"bn.weight": np.array([1, 2, 3, 4], jnp.bfloat16)}, head=True)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    assert variables["params"]["backbone"]["stem"]["bn"]["scale"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("head", [True, False])
def test_place_shares_no_memory_with_what_it_was_given(head):
    before, found = initial(), arrays()
    after, _ = placement.place(before, Published(found, CARD, "some.file"), NAMES, head=head)
    given = [*jax.tree.leaves(before), *found.values()]
    for leaf in jax.tree.leaves(after):
        assert not any(np.shares_memory(leaf, array) for array in given)
    jax.tree.map(np.testing.assert_array_equal, before, initial())  # nor was it changed


def test_publish_shares_no_memory_and_inverts_place():
    variables, _ = place(arrays(), head=True)
    back = placement.publish(variables, NAMES)
    assert back.keys() == arrays().keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].flags.c_contiguous  # safetensors writes memory as it lies
    assert not any(np.shares_memory(a, leaf) for a in back.values() for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(("wanted", "given"), [("18", "34"), ("34", "18"), ("18", "50"), ("50", "34")])
def test_weights_of_another_variant_are_one_short_error(wanted, given):
    network = Network(resnet.build(wanted), nn.Dense(CLASSES))
    variables = placement.shapes(network, np.zeros((1, 32, 32, 3), np.float32))
    other = placement.shapes(Network(resnet.build(given), nn.Dense(CLASSES)), np.zeros((1, 32, 32, 3), np.float32))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), other)
    published = Published(placement.publish(zeros, resnet.names(given)), CARD, "other.safetensors")
    with pytest.raises(WeightsError) as error:
        placement.place(variables, published, resnet.names(wanted))
    lines = str(error.value).splitlines()
    assert "'other.safetensors'" in lines[0] and "config.model.variant" in lines[0]
    assert 3 <= len(lines) <= 5
    names = re.findall(r"  (\d+) (missing|extra|wrong): (.*)", "\n".join(lines))
    assert names
    for number, _, shown in names:  # a wrong architecture has hundreds of names; 20 tell it
        assert int(number) <= placement.SHOWN or shown.endswith(f", and {int(number) - placement.SHOWN} more")


def test_only_the_stages_that_are_asked_for_are_taken():
    variables, kept = place(arrays(), stages=())
    assert set(kept) == {"backbone/stem/conv/kernel", "backbone/stem/bn/scale", "backbone/stem/bn/mean", *HEAD}
    jax.tree.map(np.testing.assert_array_equal, variables, initial())


# Random starts


class Tiny(nn.Module):
    """A backbone of one layer."""

    @nn.compact
    def __call__(self, x, mode, *, start=None, stop=None):
        return nn.Dense(4, name="stem")(x)


TINY = Network(Tiny(), nn.Dense(CLASSES))
TINY_NAMES = (
    Name("stem.weight", "params", "backbone/stem/kernel", "dense"),
    Name("stem.bias", "params", "backbone/stem/bias"),
    *NAMES[-2:],
)
EXAMPLE = np.zeros((1, 2), np.float32)


def test_init_is_fixed_by_the_seed_and_lies_on_the_host():
    one, same, other = (placement.init(TINY, EXAMPLE, seed=seed) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    for path in ("backbone/stem/kernel", "head/kernel"):
        assert not np.array_equal(flatten(one["params"])[path], flatten(other["params"])[path])
    assert {type(leaf) for leaf in jax.tree.leaves(one)} == {np.ndarray}


def test_what_is_drawn_does_not_depend_on_what_else_is_drawn():
    whole = flatten(placement.init(TINY, EXAMPLE, seed=1)["params"])
    part = flatten(placement.init(TINY, EXAMPLE, seed=1, only=["head/kernel"])["params"])
    assert part.keys() == {"head/kernel"}
    np.testing.assert_array_equal(part["head/kernel"], whole["head/kernel"])


def test_start_takes_the_published_backbone_and_draws_the_head():
    found = {"stem.weight": np.ones((4, 2), np.float32), "stem.bias": np.ones(4, np.float32)}
    published = Published(found, CARD, "some.file")
    variables, kept = placement.start(TINY, EXAMPLE, seed=1, published=published, names=TINY_NAMES)
    leaves, drawn = flatten(variables["params"]), flatten(placement.init(TINY, EXAMPLE, seed=1)["params"])
    assert set(kept) == {"head/kernel", "head/bias"}
    np.testing.assert_array_equal(leaves["backbone/stem/kernel"], np.ones((2, 4)))
    np.testing.assert_array_equal(leaves["head/kernel"], drawn["head/kernel"])


def test_start_without_weights_draws_all_and_says_so():
    variables, kept = placement.start(TINY, EXAMPLE, seed=1)
    jax.tree.map(np.testing.assert_array_equal, variables, placement.init(TINY, EXAMPLE, seed=1))
    assert set(kept) == set(flatten(variables["params"]))


def test_parameters_are_stored_in_the_dtype_that_is_asked_for():
    """Drawn ones and published ones; statistics stay as they are."""
    found = {"stem.weight": np.full((4, 2), 1 + 2**-9, np.float32), "stem.bias": np.ones(4, np.float32)}
    published = Published(found, CARD, "some.file")
    options = {"seed": 1, "published": published, "names": TINY_NAMES}
    variables, kept = placement.start(TINY, EXAMPLE, **options, dtype="bfloat16")
    leaves, whole = flatten(variables["params"]), flatten(placement.start(TINY, EXAMPLE, **options)[0]["params"])
    assert set(kept) == {"head/kernel", "head/bias"}
    for path, leaf in leaves.items():
        assert leaf.dtype == jnp.bfloat16
        np.testing.assert_array_equal(leaf, whole[path].astype(jnp.bfloat16), err_msg=path)
    drawn, _ = placement.start(TINY, EXAMPLE, seed=1, dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(drawn)} == {jnp.dtype(jnp.bfloat16)}
    stored = placement._stored(initial(), "bfloat16")  # pyright: ignore[reportPrivateUsage]
    assert stored["batch_stats"]["backbone"]["stem"]["bn"]["mean"].dtype == np.float32
