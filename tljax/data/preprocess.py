"""From stored uint8 pictures to the network's input: augment, resize, normalise, on the device, with their labels."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.types import IGNORED, NO_BOX, Batch, Card, Prepare

WITHOUT_CARD = 32  # input size if neither the config nor a card gives it
METHODS = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos3"}


class Sizes(NamedTuple):
    """Sizes of pictures, in pixels on a side."""

    resize: int  # the stored picture; 0: the file's size
    crop: int  # the crop of the stored picture; 0: no crop
    size: int  # the network's input


def sizes(config: ConfigDict, card: Card) -> Sizes:
    """`data.resize`, `.crop` and `.size`. If `data.size` is 0, those of them that are 0 come from the card.

    If the card has no size, the input size is that of the crop, else of the resized picture, else `WITHOUT_CARD`.
    """
    if config.size:
        return Sizes(config.resize, config.crop, config.size)
    if not card.size:
        return Sizes(config.resize, config.crop, config.crop or config.resize or WITHOUT_CARD)
    share = card.crop or 1.0
    # timm's center-crop transform: the shorter side becomes floor(size / share); 1e-6 against rounding in 224 / 0.7.
    stored = config.resize or math.floor((config.crop or card.size) / share + 1e-6)
    return Sizes(stored, config.crop or (round(stored * share) if config.resize else card.size), card.size)


def make(config: ConfigDict, card: Card, shape: tuple[int, ...], labels: str = "classes") -> Prepare:
    """A pure function (batch, key, train) -> the batch with "inputs", normalised pixels (B, size, size, C) float32.

    In training: a random crop (of `data.crop` pixels, after padding by `data.pad`) or a random resized crop
    (`data.min_area`), then a random flip (`data.flip`). Every example has its own random key, so the result does not
    depend on how a batch is divided over devices. In evaluation: the central crop. If the crop comes from the card and
    not from `data.crop`, training takes the centre too.
    Label maps and boxes are changed with their picture, to `size` x `size` pixels; other labels do not change.

    Args:
      shape: (S, S, C) of the stored pictures.
      labels: the kind of labels, see `Info.labels`.

    Raises:
      ConfigError: sizes or channels do not fit together.
    """
    asked = sizes(config, card)
    stored, channels, crop = shape[0], shape[-1], asked.crop or shape[0]
    square = stored if config.crop else crop  # side of the central square that augmentation works on
    if shape[0] != shape[1] or crop > stored:
        raise ConfigError(
            f"config.data.crop must be at most the stored size, of square pictures; got crop {crop} of {shape[:2]}. "
            f"Set config.data.resize to make every picture square."
        )
    if not len(card.mean) == len(card.std) == channels:
        raise ConfigError(
            f"Weights expect {len(card.mean)} channel(s) (config.model.card.mean), but the pictures have {channels}. "
            f"Set config.data.channels, or choose weights that fit."
        )

    def prepare(batch: Batch, key: jax.Array, train: bool) -> Batch:
        x, moved = _centre(batch["image"], square), {}
        if train and draws(config, stored):
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["position"])
            window = jax.vmap(lambda k: draw_window(k, square, crop, config))(keys)
            x = jax.vmap(lambda image, one: of_picture(image, one, crop, config))(x, window)
        else:
            x, rows = _centre(x, crop), (x.shape[0],)
            window = jax.tree.map(lambda v: jnp.broadcast_to(v, (*rows, *v.shape)), centre_window(square, crop))
        if labels in MOVES and "label" in batch:
            move, centre = MOVES[labels], centre_window(stored, square)
            moved["label"] = jax.vmap(lambda label, one: move(move(label, centre, square), one, asked.size))(
                batch["label"], window
            )
        return {**batch, **moved, "inputs": normalise(resize(x, asked.size, card.interpolation), card)}

    return prepare


def draws(config: ConfigDict, stored: int) -> bool:
    """Whether training changes pictures (`stored` pixels wide) at random."""
    crops = config.pad or config.min_area or 0 < config.crop < stored
    return bool(config.augment and (config.flip or crops))


def example(config: ConfigDict, card: Card) -> np.ndarray:
    """One input of the form that `prepare` returns: (1, size, size, C) float32, zeros."""
    size = sizes(config, card).size
    return np.zeros((1, size, size, config.channels), np.float32)


def note(config: ConfigDict, card: Card, stored: int, *, pretrained: bool, changes: str = "") -> str:
    """A note of the input size if a card or a default chose it, or if the weights were trained with another; else "".

    Args:
      stored: pixels on a side of the stored pictures.
      changes: what the size changes in the network, "position embeddings 14x14 -> 4x4".
    """
    _, crop, size = sizes(config, card)
    share, seen = (crop or stored) / stored, card.crop or 1.0
    if pretrained and card.size and (size != card.size or abs(share - seen) > 0.02):
        ours, theirs = (f"{pixels} px ({part:.0%} of the side)" for pixels, part in ((size, share), (card.size, seen)))
        return f"pictures {ours}; the weights were trained with {theirs}" + (f": {changes}" if changes else "")
    if config.size:
        return ""
    why = "as the weights' card says" if card.size else "config.data.size is 0"
    return f"pictures {size} px, the central {crop or stored} of {stored}: {why}"


def resize(x: jax.Array, size: int, interpolation: str) -> jax.Array:
    """(B, H, W, C) uint8 or float -> (B, size, size, C) float32, antialiased when it shrinks."""
    x = x.astype(jnp.float32)
    if x.shape[1:3] == (size, size):
        return x
    return jax.image.resize(x, (x.shape[0], size, size, x.shape[-1]), METHODS[interpolation])


def normalise(x: jax.Array, card: Card) -> jax.Array:
    """`(x / scale - mean) / std` per channel, in the card's channel order."""
    if card.channel_order == "BGR":
        x = x[..., ::-1]
    mean, std = np.array(card.mean, np.float32), np.array(card.std, np.float32)
    scale, shift = 1 / (np.float32(card.scale) * std), mean / std
    return x * scale[None, None, None] - shift[None, None, None]  # (B, H, W, C)


def _centre(x: jax.Array, crop: int) -> jax.Array:
    """(B, S, S, C) -> (B, crop, crop, C)."""
    edge = (x.shape[1] - crop) // 2
    return x[:, edge : edge + crop, edge : edge + crop]


class Window(NamedTuple):
    """A rectangle in a stored picture of S x S pixels; it may extend beyond the edge."""

    corner: jax.Array  # (2,) row and column of its first pixel, in stored pixels; int32 if it is not scaled
    sides: jax.Array  # (2,) height and width, in stored pixels
    flip: jax.Array  # () bool: mirrored, left becomes right


def draw_window(key: jax.Array, stored: int, crop: int, config: ConfigDict) -> Window:
    """The random window of one training example.

    Args:
      stored: S, pixels of the stored picture's side.
      crop: pixels of the window's side; with `min_area`, the size that the window is resized to.
      config: config.data; `min_area`, `pad` and `flip` are used.
    """
    for_crop, for_flip = jax.random.split(key)
    if config.min_area:
        corner, sides = _draw_area(for_crop, stored, config.min_area)
    else:
        padded = stored + 2 * config.pad
        corner = jax.random.randint(for_crop, (2,), 0, jnp.array((padded, padded)) - crop + 1) - config.pad
        sides = jnp.full(2, crop, jnp.float32)
    return Window(corner, sides, jax.random.bernoulli(for_flip) if config.flip else jnp.array(False))


def centre_window(stored: int, crop: int) -> Window:
    """The window of evaluation."""
    edge = (stored - crop) // 2
    return Window(jnp.full(2, edge), jnp.full(2, crop, jnp.float32), jnp.array(False))


def of_picture(image: jax.Array, window: Window, crop: int, config: ConfigDict) -> jax.Array:
    """The window of a picture (S, S, C) uint8: (crop, crop, C); black beyond the edge."""
    if config.min_area:
        scale = crop / window.sides
        shape, start = (crop, crop, image.shape[-1]), -window.corner * scale
        floats = image.astype(jnp.float32)
        image = jax.image.scale_and_translate(floats, shape, (0, 1), scale, start, "linear", antialias=True)
    else:
        pad = config.pad
        if pad:
            image = jnp.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        image = jax.lax.dynamic_slice(image, (*(window.corner + pad), 0), (crop, crop, image.shape[-1]))
    return jnp.where(window.flip, image[:, ::-1], image) if config.flip else image


def of_map(label: jax.Array, window: Window, size: int) -> jax.Array:
    """The window of a label map (S, S): (size, size), by nearest pixels; IGNORED beyond the edge."""
    side, places = label.shape[0], (jnp.arange(size) + 0.5) / size
    rows, columns = (jnp.floor(window.corner[i] + places * window.sides[i]).astype(jnp.int32) for i in (0, 1))
    inside = ((rows >= 0) & (rows < side))[:, None] & ((columns >= 0) & (columns < side))[None, :]
    seen = label[rows.clip(0, side - 1)[:, None], columns.clip(0, side - 1)[None, :]]
    seen = jnp.where(inside, seen, jnp.asarray(IGNORED, label.dtype))
    return jnp.where(window.flip, seen[:, ::-1], seen)


def of_boxes(label: jax.Array, window: Window, size: int) -> jax.Array:
    """Boxes (M, 5), [top, left, bottom, right, class], in the window's pixels, `size` x `size`.

    Boxes are cut at the edges of the window. A box outside of it becomes a row of zeros with the class NO_BOX.
    """
    scale = size / window.sides
    top, left = ((label[:, i] - window.corner[i]) * scale[i] for i in (0, 1))
    bottom, right = ((label[:, 2 + i] - window.corner[i]) * scale[i] for i in (0, 1))
    left, right = jnp.where(window.flip, size - right, left), jnp.where(window.flip, size - left, right)
    top, left, bottom, right = (x.clip(0, size) for x in (top, left, bottom, right))
    is_seen = (label[:, 4] >= 0) & (bottom > top) & (right > left)
    boxes = jnp.stack([top, left, bottom, right, label[:, 4]], axis=-1)
    nothing = jnp.array([0, 0, 0, 0, NO_BOX], label.dtype)
    return jnp.where(is_seen[:, None], boxes, nothing[None]).astype(label.dtype)


def _draw_area(key: jax.Array, stored: int, min_area: float) -> tuple[jax.Array, jax.Array]:
    """Corner and sides of a random rectangle: area min_area..1, aspect ratio 3/4..4/3 (Szegedy et al. 2015)."""
    area_key, aspect_key, corner_key = jax.random.split(key, 3)
    area = jax.random.uniform(area_key, minval=min_area, maxval=1.0)
    aspect = jnp.exp(jax.random.uniform(aspect_key, minval=jnp.log(3 / 4), maxval=jnp.log(4 / 3)))
    sides = jnp.minimum(1.0, jnp.sqrt(area * jnp.array([1 / aspect, aspect]))) * stored  # height, width
    return jax.random.uniform(corner_key, (2,)) * (stored - sides), sides


MOVES = {"maps": of_map, "boxes": of_boxes}  # kinds of labels that change with the picture
