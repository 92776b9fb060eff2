"""A vision transformer (Dosovitskiy et al. 2020): tokens (B, N, D).

Stages: embed, block0 ... blockN, norm; and pool, where one query asks all tokens. Tokens lie in timm's order: class,
distillation, registers, patches. What networks after the first added is off by default, a field of `Variant` each.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Mode, Tree
from tljax.networks import rotary
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.latent_attention import ACTIVATIONS, NORMAL, LatentAttention, Mlp
from tljax.networks.layers import TORCH_LINEAR, Conv, LayerNorm


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network, and what its tokens are."""

    patch: int
    width: int
    heads: int
    depth: int
    class_token: bool = True
    distilled: bool = False  # DeiT: a distillation token; features are both tokens, 2 D wide
    registers: int = 0  # Darcet et al. 2023; then positions are added to patches only, timm's no_embed_class
    average: bool = False  # features are the mean of the patches, normalised after it: timm's fc_norm
    hidden: int = 0  # units of the MLP; 0: 4 times the width
    qkv_bias: bool = True
    eps: float = 1e-6  # of every LayerNorm
    layer_scale: bool = False  # Touvron et al. 2021: a learned factor a channel, on what a block adds
    class_position: bool = True  # where there are no registers: positions are added to the class token too
    pre_norm: bool = False  # CLIP: tokens are normalised before the first block, and patches have no bias
    activation: str = "gelu"  # one of `latent_attention.ACTIVATIONS`
    gated: bool = False  # SwiGLU (Shazeer 2020) in the place of the MLP: `hidden` units, and as many that gate them
    average_after: bool = False  # features are the mean of the normalised patches: timm's fc_norm=False
    rotary: float = 0.0  # DINOv3: no positions are added, but queries and keys turned; theta, 0: they are not
    attention_pool: bool = False  # SigLIP: features are what a learned query finds in the patches

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"A ViT's width must be a multiple of its heads; got {self.width} and {self.heads}.")
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ConfigError(f"A ViT's activation must be one of {known}; got '{self.activation}'.")
        pooled = self.average + self.average_after + self.attention_pool
        if pooled > 1 or not (pooled or self.class_token):
            raise ConfigError(
                "A ViT's features must be its class token, the patches' mean, normalised after it (average) or before "
                "(average_after), or what a query finds in them (attention_pool); got none, or more than one of these."
            )
        if self.rotary and self.width // self.heads % 4:
            raise ConfigError(f"Rotary positions need heads of a multiple of 4; got {self.width // self.heads}.")

    @property
    def stages(self) -> tuple[str, ...]:
        pool = ("pool",) if self.attention_pool else ()
        return ("embed", *(f"block{i}" for i in range(self.depth)), "norm", *pool)

    @property
    def tokens(self) -> dict[str, int]:
        """How many of each kind stand before the patches, in order."""
        counts = {"cls_token": int(self.class_token), "dist_token": int(self.distilled), "reg_token": self.registers}
        return {name: count for name, count in counts.items() if count}

    @property
    def positions_of_all(self) -> bool:
        """Whether positions are added to all tokens; else to the patches alone."""
        return self.class_position and not self.registers


class Embed(nn.Module):
    """Patches, the tokens before them, positions: (B, H, W, C) -> (B, N, D); rotary ones: and (B, n, 2), of patches."""

    variant: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> Tree:
        del mode  # nothing here differs between training and evaluation
        shape, size, grid = self.variant, self.variant.patch, (x.shape[1], x.shape[2])
        if x.shape[1] % size or x.shape[2] % size:
            raise ConfigError(
                f"Height and width of the input (config.data.size) must be multiples of the patch, {size} pixels; "
                f"got {x.shape[1]} x {x.shape[2]}."
            )
        options = {"bias": not shape.pre_norm, "dtype": self.dtype, "kernel_init": TORCH_LINEAR}
        patches = Conv(shape.width, size, stride=size, name="proj", **options)
        x = patches(x).reshape(x.shape[0], -1, shape.width)  # (B, H, W, C) -> (B, H/size * W/size, D)
        before = []
        for name, count in shape.tokens.items():
            init = NORMAL if name == "dist_token" else nn.initializers.normal(1e-6)
            token = self.param(name, init, (1, count, shape.width), jnp.float32).astype(self.dtype)
            before.append(jnp.broadcast_to(token, (x.shape[0], count, shape.width)))
        if shape.rotary:
            places = rotary.centres(grid[0] // size, grid[1] // size)
            return jnp.concatenate([*before, x], axis=1), jnp.broadcast_to(places, (x.shape[0], *places.shape))
        if shape.positions_of_all:
            x = jnp.concatenate([*before, x], axis=1)
        positions = self.param("pos_embed", NORMAL, (1, *x.shape[1:]), jnp.float32)
        x = x + positions.astype(self.dtype)
        x = x if shape.positions_of_all else jnp.concatenate([*before, x], axis=1)
        return LayerNorm(epsilon=shape.eps, dtype=self.dtype, name="norm")(x) if shape.pre_norm else x


class Attention(nn.Module):
    """Multi-head self-attention on (B, N, D); queries, keys and values are one map, in timm's order (3, heads, -1)."""

    variant: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, places: jax.Array | None) -> jax.Array:
        batch, tokens, width = x.shape
        shape = self.variant
        qkv = nn.Dense(3 * width, use_bias=shape.qkv_bias, dtype=self.dtype, kernel_init=NORMAL, name="qkv")(x)
        q, k, v = jnp.moveaxis(qkv.reshape(batch, tokens, 3, shape.heads, -1), 2, 0)  # each (B, N, heads, D / heads)
        if places is not None:
            q, k = (rotary.rotated(one, places, shape.rotary) for one in (q, k))
        x = jax.nn.dot_product_attention(q, k, v).reshape(batch, tokens, width)
        return nn.Dense(width, dtype=self.dtype, kernel_init=NORMAL, name="proj")(x)


class Block(nn.Module):
    """Attention and MLP, each on normalised tokens and added to them: (B, N, D) -> (B, N, D).

    In training, each of the two is left out of an example with probability `drop_path` (Huang et al. 2016).
    """

    variant: Variant
    drop_path: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Tree, mode: Mode) -> Tree:
        still = not mode.trains(self.path)

        def kept(branch: jax.Array, number: int) -> jax.Array:
            if shape.layer_scale:
                start = nn.initializers.constant(1e-5)
                scale = self.param(f"layer_scale{number}", start, (shape.width,), jnp.float32)
                branch = branch * scale.astype(self.dtype)[None, None]  # (B, N, D)
            drop = nn.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=still, name=f"drop_path{number}")
            return drop(branch)

        shape = self.variant
        x, places = x if shape.rotary else (x, None)
        y = LayerNorm(epsilon=shape.eps, dtype=self.dtype, name="norm1")(x)
        x = x + kept(Attention(shape, self.dtype, name="attn")(y, places), 1)
        y = LayerNorm(epsilon=shape.eps, dtype=self.dtype, name="norm2")(x)
        x = x + kept(Mlp(self.dtype, shape.hidden, shape.activation, shape.gated, name="mlp")(y), 2)
        return (x, places) if shape.rotary else x


class Norm(LayerNorm):
    """The last LayerNorm: (B, N, D) -> (B, N, D); of averaging variants, of the patches' mean: -> (B, D)."""

    average_from: int | None = None  # the first patch

    def __call__(self, x: Tree, mode: Mode) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        del mode
        x = x[0] if isinstance(x, tuple) else x  # the places of patches have served
        if self.average_from is not None:
            x = x[:, self.average_from :].mean(axis=1)
        return super().__call__(x)


class ViT(Backbone):
    """A vision transformer without its classifier. Stages put out tokens (B, N, D); those before norm, where positions
    are rotary, (tokens, places of the patches).

    The position embeddings take the grid of the input that the variables were made for. `drop_path` is the last
    block's rate; the first one's is 0, linear in between (DeiT, Touvron et al. 2020).
    """

    drop_path: float = 0.0

    def features(self, x: jax.Array) -> jax.Array:
        """The class token (B, D), distilled: and the distillation token, (B, 2 D); or what the last stage made."""
        if self.variant.average_after:
            return x[:, sum(self.variant.tokens.values()) :].astype(jnp.float32).mean(axis=1)
        if not (self.variant.average or self.variant.attention_pool):
            x = x[:, : 1 + self.variant.distilled].reshape(x.shape[0], -1)
        return x.astype(jnp.float32)

    def resized(self, before: int, after: int) -> str:
        old, new = before // self.variant.patch, after // self.variant.patch
        return "" if old == new else f"position embeddings {old}x{old} -> {new}x{new}"

    def stage(self, name: str) -> RunnableStage:
        shape = self.variant
        if name == "embed":
            return Embed(shape, self.dtype, name=name)
        if name == "norm":
            average_from = sum(shape.tokens.values()) if shape.average else None
            return Norm(epsilon=shape.eps, dtype=self.dtype, average_from=average_from, name=name)
        if name == "pool":
            return LatentAttention(shape.heads, shape.hidden, shape.activation, shape.eps, self.dtype, name=name)
        rate = self.drop_path * int(name.removeprefix("block")) / max(shape.depth - 1, 1)
        return Block(shape, rate, self.dtype, name=name)
