"""Weights of three channels on pictures of others: sums kept, the card made to fit."""

import numpy as np
import pytest

from tljax.core.types import Card, Name, Published
from tljax.weights import channels

RNG = np.random.default_rng(0)
KERNEL = RNG.integers(-8, 8, (5, 3, 2, 2)).astype(np.float32)  # (O, I, H, W); small integers: sums are exact
NAMES = (
    Name("token", "params", "backbone/stem/token"),
    Name("conv.weight", "params", "backbone/stem/conv/kernel", "conv"),
    Name("fc.weight", "params", "head/kernel", "dense"),
)
CARD = Card(mean=(0.1, 0.2, 0.6), std=(1.0, 2.0, 3.0))


def fit(number, card=CARD, kernel=KERNEL, names=NAMES):
    arrays = {"conv.weight": kernel, "fc.weight": np.ones((2, 5), np.float32)}
    return channels.fit(Published(arrays, card, "a file"), names, number)


@pytest.mark.parametrize("number", [1, 2, 4, 5, 6, 7, 12])
def test_the_sum_over_channels_is_kept(number):
    published, _ = fit(number)
    fitted = published.arrays["conv.weight"]
    assert fitted.shape == (5, number, 2, 2) and fitted.dtype == np.float32
    np.testing.assert_allclose(fitted.sum(axis=1), KERNEL.sum(axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(published.arrays["fc.weight"], np.ones((2, 5)))


def test_a_kernel_that_is_turned_is_left_for_placement_to_name():
    """A stem makes more maps than there are channels."""
    turned = np.zeros((3, 5, 2, 2), np.float32)
    for number in (1, 3, 4):
        published, notes = fit(number, kernel=turned)
        assert published.arrays["conv.weight"] is turned and notes == ()


def test_one_channel_takes_the_sum():
    np.testing.assert_array_equal(fit(1)[0].arrays["conv.weight"], KERNEL.sum(axis=1, keepdims=True))


def test_four_channels_share_what_they_repeat():
    red, green, blue = np.moveaxis(KERNEL, 1, 0)
    expected = np.stack([red / 2, green, blue, red / 2], axis=1)
    np.testing.assert_array_equal(fit(4)[0].arrays["conv.weight"], expected)


def test_six_channels_are_the_three_twice_at_half_strength():
    """What timm's adapt_input_conv makes: repeated, times 3 / 6."""
    np.testing.assert_array_equal(fit(6)[0].arrays["conv.weight"], np.tile(KERNEL, (1, 2, 1, 1)) / 2)


def test_three_channels_change_nothing():
    published, notes = fit(3)
    assert published.arrays["conv.weight"] is KERNEL and published.card is CARD and notes == ()


def test_what_was_changed_is_said():
    assert fit(4)[1] == ("channels: 3 -> 4, sums kept: conv.weight, mean and std",)


def test_a_kernel_that_lies_as_ours_does():
    names = (Name("conv.weight", "params", "backbone/stem/conv/kernel"),)
    fitted = fit(1, kernel=KERNEL.transpose(2, 3, 1, 0), names=names)[0].arrays["conv.weight"]
    np.testing.assert_array_equal(fitted, KERNEL.sum(axis=1, keepdims=True).transpose(2, 3, 1, 0))


def test_kernels_of_blue_green_red_are_turned_first():
    caffe = Card(mean=(0.6, 0.2, 0.1), std=(3.0, 2.0, 1.0), channel_order="BGR")
    published, _ = fit(4, card=caffe, kernel=KERNEL[:, ::-1])
    np.testing.assert_array_equal(published.arrays["conv.weight"], fit(4)[0].arrays["conv.weight"])
    assert published.card == fit(4)[0].card


@pytest.mark.parametrize(
    ("number", "mean", "std"),
    [
        (1, (0.3,), (2.0,)),
        (2, (0.35, 0.2), (2.0, 2.0)),
        (3, (0.1, 0.2, 0.6), (1.0, 2.0, 3.0)),
        (5, (0.1, 0.2, 0.6, 0.1, 0.2), (1.0, 2.0, 3.0, 1.0, 2.0)),
    ],
)
def test_the_card(number, mean, std):
    card = channels.card(CARD, number)
    assert card.mean == pytest.approx(mean, rel=1e-6) and card.std == pytest.approx(std, rel=1e-6)
    assert card.channel_order == "RGB"


def test_a_picture_whose_fourth_channel_repeats_the_first_is_seen_as_before():
    picture = RNG.integers(0, 9, (2, 2, 3)).astype(np.float32)
    before = np.einsum("hwi,oihw->o", picture, KERNEL)
    four = np.concatenate([picture, picture[..., :1]], axis=-1)
    np.testing.assert_allclose(np.einsum("hwi,oihw->o", four, fit(4)[0].arrays["conv.weight"]), before, rtol=1e-6)
