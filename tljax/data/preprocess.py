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


Side = int | tuple[int, int]  # pixels: of a square's side, or (height, width)


class Sizes(NamedTuple):
    """Sizes of pictures, in pixels on a side."""

    resize: int  # the stored picture; 0: the file's size
    crop: int  # the crop of the stored picture; 0: no crop
    size: int  # the network's input
    shape: tuple[int, int] | None = None  # (height, width) of all three, if pictures keep their proportions


def sizes(config: ConfigDict, card: Card) -> Sizes:
    """`data.resize`, `.crop` and `.size`. If `data.size` is 0, those of them that are 0 come from the card.

    If the card has no size, the input size is that of the crop, else of the resized picture, else `WITHOUT_CARD`.
    With `data.shape`, pictures are fitted into it whole.

    Raises:
      ConfigError: `data.shape` is set together with `resize`, `crop`, `size` or `pad`, or `tiles` without it.
    """
    if config.shape:
        if config.resize or config.crop or config.size or ("pad" in config and config.pad):
            raise ConfigError(
                f"config.data.shape fits whole pictures into {config.shape[0]} x {config.shape[1]} pixels; "
                f"config.data.resize, crop, size and pad are for squares. Set them to 0, or shape to ()."
            )
        height, width = map(int, config.shape)
        return Sizes(max(height, width), 0, max(height, width), (height, width))
    if "tiles" in config and config.tiles > 1:
        raise ConfigError(
            f"config.data.tiles={config.tiles} cuts pictures that are fitted in whole: set config.data.shape to "
            f"(height, width), or tiles to 1."
        )
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
    stored, channels, crop = (shape[0], shape[1]), shape[-1], (asked.crop or shape[0], asked.crop or shape[1])
    inner = stored if config.crop else crop  # the central part that augmentation works on
    out = asked.shape or (asked.size, asked.size)
    if (shape[0] != shape[1] and not asked.shape) or max(crop) > max(stored):
        raise ConfigError(
            f"config.data.crop must be at most the stored size, of square pictures; got crop {crop[0]} of {shape[:2]}. "
            f"Set config.data.resize to make every picture square."
        )
    if not len(card.mean) == len(card.std) == channels:
        raise ConfigError(
            f"Weights expect {len(card.mean)} channel(s) (config.model.card.mean), but the pictures have {channels}. "
            f"Set config.data.channels, or choose weights that fit."
        )

    def prepare(batch: Batch, key: jax.Array, train: bool) -> Batch:
        x, moved = _centre(batch["image"], inner), {}
        if train and draws(config, stored[0]):
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["position"])
            window = jax.vmap(lambda k: draw_window(k, inner, crop, config))(keys)
            x = jax.vmap(lambda image, one: of_picture(image, one, crop, config))(x, window)
        else:
            x, rows = _centre(x, crop), (x.shape[0],)
            window = jax.tree.map(lambda v: jnp.broadcast_to(v, (*rows, *v.shape)), centre_window(inner, crop))
        if labels in MOVES and "label" in batch:
            move, centre = MOVES[labels], centre_window(stored, inner)
            moved["label"] = jax.vmap(lambda label, one: move(move(label, centre, inner), one, out))(
                batch["label"], window
            )
        return {**batch, **moved, "inputs": normalise(resize(x, out, card.interpolation), card)}

    return prepare


def draws(config: ConfigDict, stored: int) -> bool:
    """Whether training changes pictures (`stored` pixels wide) at random."""
    crops = config.pad or config.min_area or 0 < config.crop < stored
    return bool(config.augment and (config.flip or crops))


def example(config: ConfigDict, card: Card) -> np.ndarray:
    """One input of the form that `prepare` returns: (1, size, size, C) float32, zeros."""
    asked = sizes(config, card)
    return np.zeros((1, *(asked.shape or (asked.size, asked.size)), config.channels), np.float32)


def note(config: ConfigDict, card: Card, stored: int, *, pretrained: bool, changes: str = "") -> str:
    """A note of the input size if a card or a default chose it, or if the weights were trained with another; else "".

    Args:
      stored: pixels on a side of the stored pictures.
      changes: what the size changes in the network, "position embeddings 14x14 -> 4x4".
    """
    _, crop, size, shape = sizes(config, card)
    if shape:
        saw = " x ".join(map(str, card.shape or (card.size,)))
        trained = f"; the weights were trained with {saw} px" if pretrained and card.size else ""
        return f"pictures whole, in {shape[0]} x {shape[1]} px (height x width){trained}" + (changes and f": {changes}")
    share, usual = (crop or stored) / stored, card.crop or 1.0
    if pretrained and card.size and (size != card.size or abs(share - usual) > 0.02):
        ours, theirs = (f"{pixels} px ({part:.0%} of the side)" for pixels, part in ((size, share), (card.size, usual)))
        return f"pictures {ours}; the weights were trained with {theirs}" + (f": {changes}" if changes else "")
    if config.size:
        return ""
    why = "as the weights' card says" if card.size else "config.data.size is 0"
    return f"pictures {size} px, the central {crop or stored} of {stored}: {why}"


def resize(x: jax.Array, size: Side, interpolation: str) -> jax.Array:
    """(B, H, W, C) uint8 or float -> (B, size, size, C) float32, antialiased when it shrinks."""
    x = x.astype(jnp.float32)
    if x.shape[1:3] == _pair(size):
        return x
    return jax.image.resize(x, (x.shape[0], *_pair(size), x.shape[-1]), METHODS[interpolation])


def normalise(x: jax.Array, card: Card) -> jax.Array:
    """`(x / scale - mean) / std` per channel, in the card's channel order."""
    if card.channel_order == "BGR":
        x = x[..., ::-1]
    mean, std = np.array(card.mean, np.float32), np.array(card.std, np.float32)
    scale, shift = 1 / (np.float32(card.scale) * std), mean / std
    return x * scale[None, None, None] - shift[None, None, None]  # (B, H, W, C)


def _pair(side: Side) -> tuple[int, int]:
    """(height, width)."""
    return side if isinstance(side, tuple) else (side, side)


def _centre(x: jax.Array, crop: Side) -> jax.Array:
    """(B, H, W, C) -> (B, crop, crop, C)."""
    height, width = _pair(crop)
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]


class Window(NamedTuple):
    """A rectangle in a stored picture; it may extend beyond the edge."""

    corner: jax.Array  # (2,) row and column of its first pixel, in stored pixels; int32 if it is not scaled
    sides: jax.Array  # (2,) height and width, in stored pixels
    flip: jax.Array  # () bool: mirrored, left becomes right


def draw_window(key: jax.Array, stored: Side, crop: Side, config: ConfigDict) -> Window:
    """The random window of one training example.

    Args:
      stored: pixels of the stored picture.
      crop: pixels of the window; with `min_area`, the size that the window is resized to.
      config: config.data; `min_area`, `pad` and `flip` are used.
    """
    for_crop, for_flip = jax.random.split(key)
    if config.min_area:
        corner, sides = _draw_area(for_crop, _pair(stored), config.min_area)
    else:
        room = jnp.array(_pair(stored)) + 2 * config.pad - jnp.array(_pair(crop))
        corner = jax.random.randint(for_crop, (2,), 0, room + 1) - config.pad
        sides = jnp.array(_pair(crop), jnp.float32)
    return Window(corner, sides, jax.random.bernoulli(for_flip) if config.flip else jnp.array(False))


def centre_window(stored: Side, crop: Side) -> Window:
    """The window of evaluation."""
    edges = [(whole - part) // 2 for whole, part in zip(_pair(stored), _pair(crop), strict=True)]
    return Window(jnp.array(edges), jnp.array(_pair(crop), jnp.float32), jnp.array(False))


def of_picture(image: jax.Array, window: Window, crop: Side, config: ConfigDict) -> jax.Array:
    """The window of a picture (H, W, C) uint8: (crop, crop, C); black beyond the edge."""
    height, width = _pair(crop)
    if config.min_area:
        scale = jnp.array((height, width), jnp.float32) / window.sides
        shape, start = (height, width, image.shape[-1]), -window.corner * scale
        floats = image.astype(jnp.float32)
        image = jax.image.scale_and_translate(floats, shape, (0, 1), scale, start, "linear", antialias=True)
    else:
        pad = config.pad
        if pad:
            image = jnp.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        image = jax.lax.dynamic_slice(image, (*(window.corner + pad), 0), (height, width, image.shape[-1]))
    return jnp.where(window.flip, image[:, ::-1], image) if config.flip else image


def of_map(label: jax.Array, window: Window, size: Side) -> jax.Array:
    """The window of a label map (H, W): (size, size), by nearest pixels; IGNORED beyond the edge."""
    height, width = label.shape
    places = [(jnp.arange(n) + 0.5) / n for n in _pair(size)]
    rows, columns = (jnp.floor(window.corner[i] + places[i] * window.sides[i]).astype(jnp.int32) for i in (0, 1))
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    cropped = label[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)[None, :]]
    cropped = jnp.where(inside, cropped, jnp.asarray(IGNORED, label.dtype))
    return jnp.where(window.flip, cropped[:, ::-1], cropped)


def of_boxes(label: jax.Array, window: Window, size: Side) -> jax.Array:
    """Boxes (M, 5), [top, left, bottom, right, class], in the window's pixels, `size` x `size`.

    Boxes are cut at the edges of the window. A box outside of it becomes a row of zeros with the class NO_BOX.
    """
    height, width = _pair(size)
    scale = jnp.array((height, width), jnp.float32) / window.sides
    top, left = ((label[:, i] - window.corner[i]) * scale[i] for i in (0, 1))
    bottom, right = ((label[:, 2 + i] - window.corner[i]) * scale[i] for i in (0, 1))
    left, right = jnp.where(window.flip, width - right, left), jnp.where(window.flip, width - left, right)
    top, bottom, left, right = top.clip(0, height), bottom.clip(0, height), left.clip(0, width), right.clip(0, width)
    is_seen = (label[:, 4] >= 0) & (bottom > top) & (right > left)
    boxes = jnp.stack([top, left, bottom, right, label[:, 4]], axis=-1)
    nothing = jnp.array([0, 0, 0, 0, NO_BOX], label.dtype)
    return jnp.where(is_seen[:, None], boxes, nothing[None]).astype(label.dtype)


def _draw_area(key: jax.Array, shape: tuple[int, int], min_area: float) -> tuple[jax.Array, jax.Array]:
    """Corner and sides of a random rectangle: area min_area..1, aspect ratio 3/4..4/3 (Szegedy et al. 2015)."""
    area_key, aspect_key, corner_key = jax.random.split(key, 3)
    stored = jnp.array(shape, jnp.float32)
    area = jax.random.uniform(area_key, minval=min_area, maxval=1.0)
    aspect = jnp.exp(jax.random.uniform(aspect_key, minval=jnp.log(3 / 4), maxval=jnp.log(4 / 3)))
    sides = jnp.minimum(1.0, jnp.sqrt(area * jnp.array([1 / aspect, aspect]))) * stored  # height, width
    return jax.random.uniform(corner_key, (2,)) * (stored - sides), sides


MOVES = {"maps": of_map, "boxes": of_boxes}  # kinds of labels that change with the picture
