"""Export a finished run's network for other programs: files that they can load, with the card and the classes."""

import dataclasses
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from tljax.core.atomic import make_folder, sha256, whole, write, write_json
from tljax.core.errors import ConfigError
from tljax.core.plugins import entry, find
from tljax.core.trees import count, flatten
from tljax.networks import ops, sizes
from tljax.networks.families import Describes, HasOwnParts
from tljax.serving import onnx_export, saved_model, snippets
from tljax.serving.saved_model import Model

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
LARGEST = 2**31  # bytes of a StableHLO file, a flatbuffer


def save(model: Model, to: str, file: Path, check: Callable[[Path], None] = lambda _: None) -> list[Path]:
    """Write the network as format `to`, a key of FORMATS: the files written, `file` first.

    `<stem>.card.json` beside it is the card, so that `config.model.weights=<file>` knows how to preprocess.
    `<stem>.json` holds family, variant, the classes in order and the input sizes. Of a text encoder its tokenizer and,
    in published names, its config.json come too: where `file` is called model.safetensors, transformers' `AutoModel`
    loads the folder. `<stem>_load.py` is Python that loads the file where it is.

    Args:
      check: raises where the file, which is not in its place yet, does not give the network's answers.

    Raises:
      ConfigError: there is no such format, `file` has another suffix, or the format cannot hold the network. No format
        can hold a classifier that is not a layer.
    """
    suffix, put = format_of(to)
    if model.classifier:
        raise ConfigError(
            f"--to={to} holds a network, and what tells this run's classes is no layer of one. `tljax predict` asks "
            f"it; config.strategy.classifier=logistic, linear_svm or ridge is a layer, and can be exported."
        )
    if file.suffix != suffix:
        raise ConfigError(f"--out must be a file that ends in {suffix} for --to={to}; got '{file}'.")
    make_folder(file.parent)
    with whole(file) as part:
        put(model, part)
        check(part)
    card, about = file.with_suffix(".card.json"), file.with_suffix(".json")
    write_json(card, dataclasses.replace(model.card, file=file.name, sha256=sha256(file)).as_dict())
    variant = saved_model.variant_as_json(model.variant)
    said = {"family": model.family, "variant": variant, "classes": model.classes, "input": dict(model.input)}
    write_json(about, said)
    model.asked.save(file.parent)
    if put is torch and isinstance(family := find("families", model.family), Describes):
        write_json(file.with_name("config.json"), family.describe(model.variant, model.classes))
    snippet = file.with_name(f"{file.stem}_load.py")
    write(snippet, snippets.of(model, to, file))
    return [file, card, about, snippet]


def torch(model: Model, file: Path) -> None:
    """Published names and layouts: torchvision (ResNet, VGG, ConvNeXt, ...), timm (ViT, DeiT) and transformers (text
    encoders) can load them.

    Raises:
      ConfigError: the network has parts that none of these libraries has.
    """
    family = find("families", model.family)
    if parts := family.own_parts(model.variant) if isinstance(family, HasOwnParts) else "":
        raise ConfigError(
            f"--to=safetensors-torch is for torchvision, timm and transformers, and none of them has {parts}. Choose "
            f"--to=stablehlo or onnx, which hold the program, or safetensors-flax or npz, which hold the arrays."
        )
    safetensors.numpy.save_file(published(model), file, metadata={"format": "pt"})


def flax(model: Model, file: Path) -> None:
    """The tree for `nn.Module.apply`, with paths joined by dots: "params.backbone.stem.conv.kernel"."""
    leaves = {path.replace("/", "."): np.ascontiguousarray(x) for path, x in flatten(model.variables).items()}
    safetensors.numpy.save_file(leaves, file, metadata={"format": "flax"})


def npz(model: Model, file: Path) -> None:
    """Published names and layouts, for numpy and for `config.model.weights`."""
    arrays: Any = published(model)
    with file.open("wb") as opened:  # numpy would add .npz to a name without it
        np.savez(opened, **arrays)


def stablehlo(model: Model, file: Path) -> None:
    """A program with the weights inside: a batch of any size to logits (b, K) float32.

    Stored pictures are (b, S, S, C) uint8, where S and C are `input` of `<stem>.json`: resizing to the network's size
    and normalising are in it. Texts are ids and types, (b, l) int32, and tokens (b, l) bool, True at tokens and False
    at the padding behind them. It runs on PLATFORMS without tljax:
    `jax.export.deserialize(file.read_bytes()).call(pictures)`, or `.call(ids, types, tokens)`.
    """
    if (size := 4 * count(model.variables)) >= LARGEST:
        raise ConfigError(f"--to=stablehlo holds at most {LARGEST:,} bytes of weights; these are {size:,}.")
    if "resize" in model.input:
        shapes = (jax.ShapeDtypeStruct((*jax.export.symbolic_shape("b"), *model.stored), np.uint8),)
        names = ("image",)
    else:
        longest = model.input["lengths"][-1]
        rows = jax.export.symbolic_shape("b, l", constraints=[f"l <= {longest}"])
        shapes = tuple(jax.ShapeDtypeStruct(rows, dtype) for dtype in (np.int32, np.int32, np.bool_))
        names = ("ids", "types", "tokens")
    program = jax.jit(lambda *arrays: model.logits(model.variables, dict(zip(names, arrays, strict=True))))
    with ops.plain():
        exported = jax.export.export(program, platforms=PLATFORMS)(*shapes)
    file.write_bytes(exported.serialize())


def notes(model: Model, to: str) -> tuple[str, ...]:
    """Differences from the nearest network in the family's table, for users who build the network in another library:
    tensors show neither epsilon nor padding. For texts the config.json says it, if transformers has such a network.
    """
    family = find("families", model.family)
    if FORMATS[to][1] not in (torch, npz):
        return ()
    if isinstance(family, Describes):
        if not model.classes or "id2label" in family.describe(model.variant, model.classes):
            return ()  # a masked language model, or transformers has this classifier
        return ("transformers loads it with AutoModel: none of its classes classifies as this run.",)
    if isinstance(model.variant, str):
        return ()
    name, others = sizes.nearest(family.VARIANTS, family.variant_of(model.variant))
    pairs = {field: [textwrap.shorten(repr(value), 40) for value in pair] for field, pair in others.items()}
    said = "; ".join(f"{field} {ours}, not {theirs}" for field, (ours, theirs) in pairs.items())
    return (f"not quite a {model.family} '{name}': {said}. Build it so where you load it.",)


def published(model: Model) -> dict[str, np.ndarray]:
    """Every array under its published name, in its published layout."""
    return saved_model.published_arrays(model.variables, model.names, model.family)


# Format -> the suffix of its file, and what writes it.
FORMATS: dict[str, tuple[str, Callable[[Model, Path], None]]] = {
    "safetensors-torch": (".safetensors", torch),
    "safetensors-flax": (".safetensors", flax),
    "npz": (".npz", npz),
    "stablehlo": (".stablehlo", stablehlo),
    "onnx": (".onnx", onnx_export.write),
}


def format_of(to: str) -> tuple[str, Callable[[Model, Path], None]]:
    """The suffix of a format's files, and what writes them.

    Raises:
      ConfigError: no such format.
    """
    return entry(FORMATS, to, "--to")
