"""A vision transformer (Dosovitskiy et al. 2020): tokens (B, N, D).

Stages: embed, block0 ... blockN, norm; and pool, if a learned query pools the tokens. Tokens have timm's order: class,
distillation, registers, patches. Each later addition to the first ViT is a field of `Variant`, off by default.
"""

import dataclasses
import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Mode, Tree
from tljax.networks import rotary
from tljax.networks.attention import WEIGHTS, attended, weights_of
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.latent_attention import ACTIVATIONS, NORMAL, LatentAttention, Mlp
from tljax.networks.layers import TORCH_LINEAR, Conv, Dense, LayerNorm, rows


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network, and the kinds of its tokens."""

    patch: int
    width: int
    heads: int
    depth: int
    class_token: bool = True
    distilled: bool = False  # DeiT: a distillation token; features are both tokens, 2 D wide
    registers: int = 0  # Darcet et al. 2023; with registers, only patches get positions, timm's no_embed_class
    average: bool = False  # features are the mean of the patches, then LayerNorm: timm's fc_norm
    hidden: int = 0  # units of the MLP; 0: 4 times the width
    qkv_bias: bool = True
    eps: float = 1e-6  # of every LayerNorm
    layer_scale: bool = False  # Touvron et al. 2021: a learned factor for each channel of the residual branches
    class_position: bool = True  # whether the class token gets a position too; without registers only
    pre_norm: bool = False  # CLIP: tokens are normalised before the first block, and patches have no bias
    activation: str = "gelu"  # one of `latent_attention.ACTIVATIONS`
    gated: bool = False  # SwiGLU (Shazeer 2020) instead of the MLP: `hidden` units, and `hidden` gates
    average_after: bool = False  # features are the mean of the normalised patches: timm's fc_norm=False
    rotary: float = 0.0  # DINOv3: theta of the rotary positions, which replace the added ones; 0: added positions
    attention_pool: bool = False  # SigLIP: features are the attention of a learned query over the patches
    prompts: int = 0  # VPT (Jia et al. 2022): learned tokens before all others, without positions, never pooled
    deep_prompts: bool = False  # whether every block has prompts of its own; else they pass from the first to the norm

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"A ViT's width must be a multiple of its heads; got {self.width} and {self.heads}.")
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ConfigError(f"A ViT's activation must be one of {known}; got '{self.activation}'.")
        pooled = self.average + self.average_after + self.attention_pool
        if pooled > 1 or not (pooled or self.class_token):
            raise ConfigError(
                "A ViT's features must be one of: its class token, the patches' mean with LayerNorm after it (average) "
                "or before it (average_after), attention of a query (attention_pool). Got none, or several, of these."
            )
        if self.deep_prompts and not self.prompts:
            raise ConfigError("A ViT with deep_prompts must have prompts, 1 or more; got 0.")
        if self.rotary and self.width // self.heads % 4:
            raise ConfigError(f"Rotary positions need a head width that 4 divides; got {self.width // self.heads}.")

    @property
    def stages(self) -> tuple[str, ...]:
        pool = ("pool",) if self.attention_pool else ()
        return ("embed", *(f"block{i}" for i in range(self.depth)), "norm", *pool)

    @property
    def tokens(self) -> dict[str, int]:
        """The number of tokens of each kind before the patches, in order."""
        counts = {"cls_token": int(self.class_token), "dist_token": int(self.distilled), "reg_token": self.registers}
        return {name: count for name, count in counts.items() if count}

    @property
    def prompted(self) -> tuple[str, ...]:
        """The stages with prompts of their own."""
        return self.stages[1 : 1 + (self.depth if self.deep_prompts else 1)] if self.prompts else ()

    @property
    def positions_of_all(self) -> bool:
        """Whether positions are added to all tokens; else to the patches alone."""
        return self.class_position and not self.registers


class Embed(nn.Module):
    """Patches, the tokens before them, and positions: (B, H, W, C) -> (B, N, D).

    With rotary positions: -> ((B, N, D), the centres of the patches (B, n, 2)).
    """

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
    """Multi-head self-attention on (B, N, D); one dense layer gives q, k and v, in timm's order (3, heads, -1)."""

    variant: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, places: jax.Array | None) -> jax.Array:
        batch, tokens, width = x.shape
        shape = self.variant
        qkv = Dense(3 * width, use_bias=shape.qkv_bias, dtype=self.dtype, kernel_init=NORMAL, name="qkv")(x)
        q, k, v = jnp.moveaxis(qkv.reshape(batch, tokens, 3, shape.heads, -1), 2, 0)  # each (B, N, heads, D / heads)
        if places is not None:
            q, k = (rotary.rotated(one, places, shape.rotary) for one in (q, k))
        if self.is_mutable_collection(WEIGHTS):  # somebody explains a prediction; else nothing is computed for it
            between = weights_of(q, k)[:, :, shape.prompts :, shape.prompts :]  # of the picture's tokens alone
            self.sow(WEIGHTS, "weights", between)
        x = attended(q, k, v).reshape(batch, tokens, width)
        return Dense(width, dtype=self.dtype, kernel_init=NORMAL, name="proj")(x)


class Block(nn.Module):
    """Attention and MLP, each with LayerNorm before it and a residual connection: (B, N, D) -> (B, N, D).

    A training step skips each of the two for one example with probability `drop_path` (Huang et al. 2016).
    """

    variant: Variant
    drop_path: float
    dtype: DTypeLike
    prompted: bool = False  # whether prompts of its own are put before the tokens

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
        if self.prompted:
            bound = math.sqrt(6 / (3 * shape.patch**2 + shape.width))  # of the authors' code
            uniform = partial(jax.random.uniform, minval=-bound, maxval=bound)
            prompts = self.param("prompts", uniform, (1, shape.prompts, shape.width), jnp.float32)
            prompts = jnp.broadcast_to(prompts.astype(self.dtype), (x.shape[0], *prompts.shape[1:]))
            x = jnp.concatenate([prompts, x], axis=1)
        tokens, x = x.shape, rows(x)
        y = LayerNorm(epsilon=shape.eps, dtype=self.dtype, name="norm1")(x.reshape(tokens))
        x = x + rows(kept(Attention(shape, self.dtype, name="attn")(y, places), 1))
        y = LayerNorm(epsilon=shape.eps, dtype=self.dtype, name="norm2")(x.reshape(tokens))
        x = x + rows(kept(Mlp(self.dtype, shape.hidden, shape.activation, shape.gated, name="mlp")(y), 2))
        x = x.reshape(tokens)
        x = x[:, shape.prompts :] if shape.deep_prompts else x
        return (x, places) if shape.rotary else x


class Norm(LayerNorm):
    """The last LayerNorm: (B, N, D) -> (B, N, D); in averaging variants, on the patches' mean: -> (B, D)."""

    average_from: int | None = None  # the index of the first patch
    prompts: int = 0  # prompts before the tokens, which end here

    def __call__(self, x: Tree, mode: Mode) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        del mode
        x = x[0] if isinstance(x, tuple) else x  # the centres of the patches are not needed any more
        x = x[:, self.prompts :]
        if self.average_from is not None:
            x = x[:, self.average_from :].mean(axis=1)
        return super().__call__(x)


class ViT(Backbone):
    """A vision transformer without its classifier. A stage gives tokens (B, N, D). With rotary positions, the stages
    before norm give (tokens, centres of the patches).

    The grid of the position embeddings is that of the input at initialisation. `drop_path` is the rate of the last
    block; the first block's is 0, and it grows linearly between them (DeiT, Touvron et al. 2020).
    """

    drop_path: float = 0.0

    def features(self, x: jax.Array) -> jax.Array:
        """The class token (B, D); distilled: with the distillation token (B, 2 D); or the last stage's output."""
        if self.variant.average_after:
            return x[:, sum(self.variant.tokens.values()) :].astype(jnp.float32).mean(axis=1)
        if not (self.variant.average or self.variant.attention_pool):
            x = x[:, : 1 + self.variant.distilled].reshape(x.shape[0], -1)
        return x.astype(jnp.float32)

    def resized(self, before: tuple[int, int], after: tuple[int, int]) -> str:
        old, new = (tuple(side // self.variant.patch for side in sides) for sides in (before, after))
        same = new == old or self.variant.rotary
        return "" if same else "position embeddings {}x{} -> {}x{}".format(*old, *new)

    def stage(self, name: str) -> RunnableStage:
        shape = self.variant
        if name == "embed":
            return Embed(shape, self.dtype, name=name)
        if name == "norm":
            average_from = sum(shape.tokens.values()) if shape.average else None
            prompts = 0 if shape.deep_prompts else shape.prompts
            return Norm(epsilon=shape.eps, dtype=self.dtype, average_from=average_from, prompts=prompts, name=name)
        if name == "pool":
            return LatentAttention(shape.heads, shape.hidden, shape.activation, shape.eps, self.dtype, name=name)
        rate = self.drop_path * int(name.removeprefix("block")) / max(shape.depth - 1, 1)
        return Block(shape, rate, self.dtype, name in shape.prompted, name=name)
