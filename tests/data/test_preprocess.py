"""What the network sees: normalised as the weights ask, augmented example by example, the same every time."""

from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from configs import default
from tljax.core.errors import ConfigError
from tljax.core.types import Card
from tljax.data import pictures, preprocess

RNG = np.random.default_rng(0)
PLAIN = Card(mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)  # pixels as they are
KEY = jax.random.key(0)


def prepare(images: np.ndarray, *, train: bool = False, card: Card = PLAIN, key=KEY, **changes: Any) -> np.ndarray:
    config = default.get_config().data
    config.update(**({"size": images.shape[1]} | changes))
    made = preprocess.make(config, card, images.shape[1:])
    return np.asarray(jax.jit(made, static_argnums=2)(batch(images), key, train)["inputs"])


def batch(images: np.ndarray) -> dict[str, np.ndarray]:
    return {"image": images, "position": np.arange(len(images), dtype=np.int32)}


def noise(number: int = 4, size: int = 8, channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (number, size, size, channels), np.uint8)


def numbered(number: int, size: int = 8) -> np.ndarray:
    """Pictures in which every pixel's value says where it is: row + 16 * column + 1."""
    y, x = np.mgrid[:size, :size]
    return np.broadcast_to((y + 16 * x + 1)[None, ..., None], (number, size, size, 3)).astype(np.uint8)


# Normalising


def test_normalise_by_hand():
    card = Card(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    images = noise()
    expected = (images / 255 - np.array(card.mean)) / np.array(card.std)
    found = prepare(images, card=card)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_normalise_as_caffe_does():
    card = Card(mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), scale=1.0, channel_order="BGR")
    images = noise()
    np.testing.assert_allclose(prepare(images, card=card), images[..., ::-1] - np.array(card.mean), atol=1e-4)


def test_normalise_grey():
    card = Card(mean=(0.3,), std=(0.38,))
    images = noise(channels=1)
    np.testing.assert_allclose(prepare(images, card=card), (images / 255 - 0.3) / 0.38, atol=1e-5)


# Resizing


def test_resize_up_is_half_pixel_bilinear():
    """Centres of 4 output pixels lie at -0.25, 0.25, 0.75, 1.25 of 2 input ones; outside is the edge."""
    images = np.array([[0, 100], [40, 200]], np.uint8)[None, :, :, None].repeat(3, -1)
    rows = np.array([[0, 25, 75, 100], [10, 38.75, 96.25, 125], [30, 66.25, 138.75, 175], [40, 80, 160, 200]])
    np.testing.assert_allclose(prepare(images, size=4)[0, ..., 0], rows, atol=1e-4)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [5, 16, 40])
def test_resize_is_pillows(interpolation, size):
    """With antialiasing when it shrinks; in float, where Pillow would round to 8 bits."""
    images = noise(1, 16)
    card = Card(**{**PLAIN.as_dict(), "interpolation": interpolation})
    method = Image.Resampling[interpolation.upper()]
    channels = [Image.fromarray(images[0, ..., c].astype(np.float32)).resize((size, size), method) for c in range(3)]
    np.testing.assert_allclose(prepare(images, size=size, card=card)[0], np.stack(channels, -1), atol=1e-3)


# Evaluation


def test_evaluation_takes_the_centre_and_draws_nothing():
    images = numbered(3)
    options = {"crop": 4, "size": 4, "flip": True, "pad": 2}
    found = prepare(images, **options)
    np.testing.assert_array_equal(found, images[:, 2:6, 2:6])
    np.testing.assert_array_equal(prepare(images, key=jax.random.key(7), **options), found)
    np.testing.assert_array_equal(prepare(images, min_area=0.1, crop=4, size=4), found)


def test_training_without_augmentation_is_evaluation():
    images = noise()
    np.testing.assert_array_equal(prepare(images, train=True), prepare(images))
    np.testing.assert_array_equal(prepare(images, train=True, size=20), prepare(images, size=20))


# Augmentation


def test_half_of_the_pictures_are_flipped_and_nothing_else_is_done():
    images = numbered(400)
    found = prepare(images, train=True, flip=True)
    flipped = (found == images[:, :, ::-1]).all((1, 2, 3))
    straight = (found == images).all((1, 2, 3))
    assert (flipped ^ straight).all()
    assert 160 <= flipped.sum() <= 240  # 4 standard deviations of Binomial(400, 1/2)


def test_a_padded_crop_reaches_every_offset_and_stays_black_outside():
    images = numbered(600)
    found = prepare(images, train=True, pad=2)
    padded = np.pad(images[0], ((2, 2), (2, 2), (0, 0)))
    crops = {(y, x): padded[y : y + 8, x : x + 8] for y in range(5) for x in range(5)}
    reached = [next(at for at, crop in crops.items() if np.array_equal(crop, one)) for one in found]
    assert set(reached) == set(crops)  # 25 offsets, 600 draws: one is missed with probability 6e-10


def test_a_crop_reaches_every_offset():
    images = numbered(200)
    found = prepare(images, train=True, crop=6, size=6)
    corners = {(int(one[0, 0, 0] - 1) % 16, int(one[0, 0, 0] - 1) // 16) for one in found}
    assert corners == {(y, x) for y in range(3) for x in range(3)}
    assert found.shape == (200, 6, 6, 3)


def test_a_resized_crop_is_a_rectangle_of_the_asked_share():
    """On a picture of gradients a crop's slopes are its sides, and its middle says where it lay."""
    y, x = np.mgrid[:32, :32]
    image = np.stack([y * 4, x * 4, np.zeros_like(x)], -1).astype(np.uint8)
    found = prepare(np.repeat(image[None], 300, 0), train=True, min_area=0.2, size=32) / 4
    heights = (found[:, 24, 16, 0] - found[:, 8, 16, 0]) * 2  # 16 output pixels are half a side
    widths = (found[:, 16, 24, 1] - found[:, 16, 8, 1]) * 2
    areas, aspects = heights * widths / 32**2, widths / heights
    assert 0.19 < areas.min() < 0.3 and 0.8 < areas.max() <= 1.01
    assert 0.74 < aspects.min() < 0.82 and 1.22 < aspects.max() < 1.35
    middle = found[:, 15:17, 15:17, 0].mean((1, 2)) + 0.5
    assert (middle - heights / 2 > -0.1).all() and (middle + heights / 2 < 32.1).all()
    assert np.corrcoef(heights, np.abs(middle - 16))[0, 1] < -0.2  # smaller ones lie further out


AUGMENTATIONS = {
    "flip": {"flip": True},
    "pad": {"pad": 3},
    "crop": {"crop": 5, "size": 8},
    "resized crop": {"min_area": 0.3, "flip": True},
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_draw_belongs_to_the_example_not_to_the_layout(name):
    """Eight examples at once, in four shards (vmap, as on four devices), or one by one: the same pixels.

    A pixel says where it is and of which example, and no slope is steep: where a crop lies is rounded, and a slope of
    255 from pixel to pixel would multiply that.
    """
    config = default.get_config().data
    config.update(**({"size": 8} | AUGMENTATIONS[name]))
    made = jax.jit(preprocess.make(config, PLAIN, (8, 8, 3)), static_argnums=2)
    y, x = np.mgrid[:8, :8]
    images = np.stack([np.stack([x, y, np.full_like(x, i)], -1) for i in range(8)]).astype(np.uint8)
    whole = np.asarray(made(batch(images), KEY, True)["inputs"])
    shards = jax.tree.map(lambda x: x.reshape(4, 2, *x.shape[1:]), batch(images))
    sharded = jax.jit(jax.vmap(lambda shard: made(shard, KEY, True)["inputs"]))(shards)
    np.testing.assert_allclose(sharded.reshape(whole.shape), whole, atol=1e-4)
    one = {"image": images[5:6], "position": np.array([5], np.int32)}
    np.testing.assert_allclose(made(one, KEY, True)["inputs"][0], whole[5], atol=1e-4)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_draw_depends_on_key_and_position_alone(name):
    images = np.repeat(noise(1), 6, 0)
    options = AUGMENTATIONS[name]
    found = prepare(images, train=True, **options)
    np.testing.assert_array_equal(prepare(images, train=True, **options), found)
    assert not np.array_equal(prepare(images, train=True, key=jax.random.key(1), **options), found)
    assert any(not np.array_equal(found[0], other) for other in found[1:])


def test_example_is_what_prepare_makes():
    config = default.get_config().data
    config.update(size=12, channels=1)
    assert preprocess.example(config, PLAIN).shape == (1, 12, 12, 1)
    assert preprocess.example(config, PLAIN).dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "changes", "text"),
    [
        ((8, 6, 3), {}, "of square pictures; got crop 8 of"),
        ((8, 8, 3), {"crop": 9}, r"at most the stored size.*got crop 9 of \(8, 8\)"),
        ((8, 8, 1), {}, r"Weights expect 3 channel\(s\).*the pictures have 1. Set config.data.channels"),
    ],
)
def test_sizes_that_do_not_fit(shape, changes, text):
    config = default.get_config().data
    config.update(**changes)
    with pytest.raises(ConfigError, match=text):
        preprocess.make(config, PLAIN, shape)


def test_a_real_photograph_as_the_weights_expect_it(shared):
    """Shorter side 256, centre 224, normalised: against the same by Pillow and numpy alone."""
    file = sorted((shared / "data" / "ants_bees" / "val" / "bees").iterdir())[0]
    card = Card(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 256) // 2 + 16, (image.height - 256) // 2 + 16
    by_hand = (np.asarray(image.crop((left, top, left + 224, top + 224))) / 255 - card.mean) / np.array(card.std)
    ours = prepare(pictures.fit(pictures.read(file), 256)[None], card=card, crop=224, size=224)[0]
    assert ours.shape == (224, 224, 3)
    np.testing.assert_allclose(ours, by_hand, atol=3 / 255 / 0.224)  # JPEG decoders differ by 2 levels of 255


# Sizes that the config does not name

VIT = Card(mean=(0.5,) * 3, std=(0.5,) * 3, size=224, crop=0.875)


@pytest.mark.parametrize(
    ("changes", "card", "expected"),
    [
        ({}, VIT, (256, 224, 224)),  # the card's
        ({"size": 64}, VIT, (0, 0, 64)),  # a size that is named stands alone, as stored
        ({"resize": 256, "crop": 224}, VIT, (256, 224, 224)),
        ({"resize": 128}, VIT, (128, 112, 224)),
        ({"crop": 160}, VIT, (182, 160, 224)),
        ({}, Card(mean=(), std=(), size=96), (96, 96, 96)),  # all of the picture, where no share is known
        ({}, Card(mean=(), std=(), size=224, crop=0.7), (320, 224, 224)),
        ({}, PLAIN, (0, 0, 32)),  # no card says anything
        ({"resize": 64, "crop": 56}, PLAIN, (64, 56, 56)),
        ({"resize": 64}, PLAIN, (64, 0, 64)),
    ],
)
def test_sizes_that_are_not_named_are_the_cards(changes, card, expected):
    config = default.get_config().data
    config.update(**changes)
    assert preprocess.sizes(config, card)[:3] == expected
    assert preprocess.example(config, card).shape == (1, expected[2], expected[2], 3)


def test_the_cards_crop_is_the_centre_in_training_too():
    card = Card(**{**PLAIN.as_dict(), "size": 6, "crop": 0.75})
    config = default.get_config().data
    made = preprocess.make(config, card, (8, 8, 3))
    images = numbered(20)
    for train in (True, False):
        np.testing.assert_array_equal(made(batch(images), KEY, train)["inputs"], images[:, 1:7, 1:7])
    assert not preprocess.draws(config, 8)
    config.flip = True
    flipped = np.asarray(preprocess.make(config, card, (8, 8, 3))(batch(images), KEY, True)["inputs"])
    centre = images[:, 1:7, 1:7]
    assert ((flipped == centre) | (flipped == centre[:, :, ::-1])).all(axis=(1, 2, 3)).all()


def note(card: Card, stored: int, *, pretrained: bool = True, changes: str = "", **keys: int) -> str:
    config = default.get_config().data
    config.update(**keys)
    return preprocess.note(config, card, stored, pretrained=pretrained, changes=changes)


def test_what_the_network_is_given_is_said_where_a_default_chose_it_or_the_weights_saw_something_else():
    assert note(VIT, 256) == "pictures 224 px, the central 224 of 256: as the weights' card says"
    assert note(VIT, 256, resize=256, crop=224, size=224) == ""
    changes = "position embeddings 14x14 -> 4x4"
    assert note(VIT, 64, size=64, changes=changes) == (
        "pictures 64 px (100% of the side); the weights were trained with 224 px (88% of the side): "
        "position embeddings 14x14 -> 4x4"
    )
    assert note(VIT, 224, size=224) == (
        "pictures 224 px (100% of the side); the weights were trained with 224 px (88% of the side)"
    )
    assert note(VIT, 64, size=64, pretrained=False) == ""
    assert note(PLAIN, 8) == "pictures 32 px, the central 8 of 8: config.data.size is 0"
