"""The tensors of towers for texts: transformers' names; OpenAI's, OpenCLIP's and TIPSv2's become transformers'."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from tljax.core.types import Arrays, Name
from tljax.networks.towers.text import Variant

PREFIX = "text_model."
TIPS = "text_encoder."  # before OpenAI's names in TIPSv2's files
LAYERS = {
    "norm1": "layer_norm1",
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/out": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp/fc1": "mlp.fc1",
    "mlp/fc2": "mlp.fc2",
}
# OpenAI's name of a tensor -> transformers'.
BLOCK = r"transformer\.resblocks\.(\d+)\."
OPENAI = {
    r"token_embedding\.weight": f"{PREFIX}embeddings.token_embedding.weight",
    r"positional_embedding": f"{PREFIX}embeddings.position_embedding.weight",
    rf"{BLOCK}ln_(\d)\.(weight|bias)": rf"{PREFIX}encoder.layers.\1.layer_norm\2.\3",
    rf"{BLOCK}attn\.out_proj\.(weight|bias)": rf"{PREFIX}encoder.layers.\1.self_attn.out_proj.\2",
    rf"{BLOCK}mlp\.c_fc\.(weight|bias)": rf"{PREFIX}encoder.layers.\1.mlp.fc1.\2",
    rf"{BLOCK}mlp\.c_proj\.(weight|bias)": rf"{PREFIX}encoder.layers.\1.mlp.fc2.\2",
    r"ln_final\.(weight|bias)": rf"{PREFIX}final_layer_norm.\1",
}
JOINED = rf"{BLOCK}attn\.in_proj_(weight|bias)"  # queries, keys and values in one tensor


def rows(shape: Variant) -> Iterator[Name]:
    """transformers' name of every tensor, and its path here."""
    for word in ("token",) if shape.average else ("token", "position"):
        ours = f"backbone/embed/{'word' if word == 'token' else word}/embedding"
        yield Name(f"{PREFIX}embeddings.{word}_embedding.weight", "params", ours)
    for i in range(shape.depth):
        for ours, theirs in LAYERS.items():
            yield from _pair(f"{PREFIX}encoder.layers.{i}.{theirs}", f"backbone/block{i}/{ours}")
    yield from _pair(f"{PREFIX}final_layer_norm", "backbone/pool/norm")
    if shape.projection and shape.causal:
        yield Name("text_projection.weight", "params", "backbone/pool/project/kernel", "dense")
    elif shape.projection:
        yield from _pair(f"{PREFIX}head", "backbone/pool/project")
    yield from _pair("classifier", "head")


def _pair(theirs: str, ours: str) -> Iterator[Name]:
    """The rows of a weight and its bias."""
    norm = "norm" in ours.rpartition("/")[2]
    yield Name(f"{theirs}.weight", "params", f"{ours}/{'scale' if norm else 'kernel'}", "same" if norm else "dense")
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")


def transformers(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The same tensors under transformers' names of a whole model; other tensors keep theirs.

    A file of the tower alone may have the names without "text_model.". OpenAI's projection is transposed.
    """
    if any(name.startswith(TIPS) for name in arrays):
        arrays = Arrays({name.removeprefix(TIPS): partial(arrays.__getitem__, name) for name in arrays})
    make: dict[str, Callable[[], np.ndarray]] = {}
    alone = "embeddings.token_embedding.weight" in arrays
    openai = "token_embedding.weight" in arrays
    for name in arrays:
        get = partial(arrays.__getitem__, name)
        if openai and (match := re.fullmatch(JOINED, name)):
            for part, letter in enumerate("qkv"):
                theirs = f"{PREFIX}encoder.layers.{match[1]}.self_attn.{letter}_proj.{match[2]}"
                make[theirs] = partial(_third, get, part)
        elif openai and name == "text_projection":
            make["text_projection.weight"] = partial(_transposed, get)
        elif openai:
            own_name = next(
                (re.sub(f"^{old}$", new, name) for old, new in OPENAI.items() if re.fullmatch(old, name)), name
            )
            make[own_name] = get
        else:
            inside = alone and name.startswith(("embeddings.", "encoder.", "final_layer_norm.", "head."))
            make[PREFIX + name if inside else name] = get
    return Arrays(make)


def _third(get: Callable[[], np.ndarray], part: int) -> np.ndarray:
    return np.split(get(), 3)[part]


def _transposed(get: Callable[[], np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(get().T)
