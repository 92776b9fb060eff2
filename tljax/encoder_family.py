"""A family of text encoders as Hugging Face publishes it: its sizes, its config.json, its names in both directions.

A file holds an encoder alone ("embeddings.word_embeddings.weight") or one below a head ("bert.embeddings..."); the
second spelling is ours, and `adapt` brings the first, and the older gamma and beta of LayerNorm, to it.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from tljax import plugins
from tljax.encoder import POOLINGS, Encoder, Variant
from tljax.errors import ConfigError, WeightsError
from tljax.types import Name

# Layer here -> its published name, for BERT and RoBERTa; {i} is the number of the block.
BERT_LAYERS = {
    "embed/word": "embeddings.word_embeddings",
    "embed/position": "embeddings.position_embeddings",
    "embed/type": "embeddings.token_type_embeddings",
    "embed/norm": "embeddings.LayerNorm",
    "block{i}/attention/query": "encoder.layer.{i}.attention.self.query",
    "block{i}/attention/key": "encoder.layer.{i}.attention.self.key",
    "block{i}/attention/value": "encoder.layer.{i}.attention.self.value",
    "block{i}/attention/out": "encoder.layer.{i}.attention.output.dense",
    "block{i}/norm1": "encoder.layer.{i}.attention.output.LayerNorm",
    "block{i}/mlp/fc1": "encoder.layer.{i}.intermediate.dense",
    "block{i}/mlp/fc2": "encoder.layer.{i}.output.dense",
    "block{i}/norm2": "encoder.layer.{i}.output.LayerNorm",
    "pool/dense": "pooler.dense",
}
# Field of `Variant` -> its key in config.json, for BERT and RoBERTa.
BERT_KEYS = {
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "depth": "num_hidden_layers",
    "units": "intermediate_size",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
    "epsilon": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}
OPTIONAL = ("epsilon", "dropout", "attention_dropout")
BUILT = {"hidden_act": "gelu", "activation": "gelu", "position_embedding_type": "absolute"}  # "gelu" is the exact one


@dataclasses.dataclass(frozen=True)
class Family:
    """What a family's file needs besides its tables: its methods are the functions of that file."""

    name: str  # of the file; below a head, published names begin with it: "bert.embeddings..."
    layers: Mapping[str, str]  # as BERT_LAYERS
    keys: Mapping[str, str]  # as BERT_KEYS
    variants: Mapping[str, Variant]
    masked: Mapping[str, str]  # what the head of masked language modelling has -> its published name

    def variant_of(self, variant: Any) -> Variant:
        """The sizes of the variant of that name, or those given, or their fields; ConfigError lists the names."""
        what = f"model.variant of '{self.name}'"
        if isinstance(variant, Mapping):
            return Variant(**variant)
        return variant if isinstance(variant, Variant) else plugins.entry(self.variants, variant, what)

    def build(self, variant: str | Variant, *, dtype: Any = jnp.float32, bn_axis: str | None = None) -> Encoder:
        """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
        del bn_axis
        return Encoder(self.variant_of(variant), dtype=dtype)

    def names(self, variant: str | Variant) -> tuple[Name, ...]:
        """Hugging Face's name of every tensor, and where it lies here."""
        return (*self._rows(self.variant_of(variant)), *_layer("head", "classifier"))

    def unpooled(self, variant: str | Variant) -> str | Variant:
        """The variant with its first token in the place of a pooler, by its name where that has one."""
        shape = self.variant_of(variant)
        if shape.pooling != "pooler":
            return variant
        kept = dataclasses.replace(shape, pooling="class")
        return next((name for name, entry in self.variants.items() if entry == kept), kept)

    def masked_names(self, variant: str | Variant) -> tuple[Name, ...]:
        """As `names`, with the head of masked language modelling in the place of the classifier."""
        return (*self._rows(self.variant_of(variant)), *self._masked_rows())

    def has_masked_head(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether these arrays hold the head of masked language modelling, or some of it.

        Raises:
          WeightsError: its last layer is a matrix of its own, not the word embeddings.
        """
        arrays = self.adapt(arrays)
        words = arrays.get(f"{self.name}.{self.layers['embed/word']}.weight", np.empty(0))
        decoder = self.masked["decoder"]
        if decoder in arrays and not np.array_equal(arrays[decoder], words):
            raise WeightsError(
                f"The last layer of a head for masked language modelling must be the word embeddings; '{decoder}' in "
                f"these weights is another matrix. Choose other weights."
            )
        return any(row.published in arrays for row in self._masked_rows())

    def _rows(self, shape: Variant) -> Iterator[Name]:
        """The encoder's."""
        for ours, theirs in self.layers.items():
            if ours.startswith("pool") and shape.pooling != "pooler":
                continue
            for i in range(shape.depth if "{i}" in ours else 1):
                yield from _layer(f"backbone/{ours.format(i=i)}", f"{self.name}.{theirs.format(i=i)}")

    def _masked_rows(self) -> Iterator[Name]:
        for ours in ("dense", "norm"):
            yield from _layer(f"head/{ours}", self.masked[ours])
        yield Name(self.masked["bias"], "params", "head/bias")

    def adapt(self, arrays: Mapping[str, np.ndarray], shape: Any = None) -> dict[str, np.ndarray]:
        """Published arrays in the spelling of `names`; they fit inputs of any `shape`."""
        del shape
        inside = tuple({theirs.partition(".")[0] + "." for theirs in self.layers.values()})
        found = {}
        for name, array in arrays.items():
            name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
            found[f"{self.name}.{name}" if name.startswith(inside) else name] = array
        return found

    def infer(self, arrays: Mapping[str, np.ndarray], config_json: Mapping[str, Any] | None) -> Variant:
        """The sizes of the network that these arrays are of: from its config.json, or, without one, from the arrays.

        Raises:
          ConfigError: config.json asks for what is not built here; or there is none, and no published
            network is as wide: arrays do not say how many heads share the width.
        """
        arrays = self.adapt(arrays)
        shape = self._measured(arrays) if config_json is None else self._configured(config_json)
        pooler = f"{self.name}.pooler.dense.weight" in arrays
        return dataclasses.replace(shape, pooling="pooler" if pooler else "class")

    def _configured(self, config_json: Mapping[str, Any]) -> Variant:
        """The sizes in a config.json; what it may leave out has the default that transformers gives it."""
        missing = [key for ours, key in self.keys.items() if ours not in OPTIONAL and key not in config_json]
        built = {**BUILT, "model_type": self.name}
        other = [key for key, value in built.items() if config_json.get(key, value) != value]
        if missing or other:
            raise ConfigError(
                f"The config.json of these weights must be that of a network that config.model.family builds.\n"
                f"  missing: {', '.join(missing) or 'none'}\n  other than it must be: "
                + (", ".join(f"{key} '{config_json[key]}', not '{built[key]}'" for key in other) or "none")
            )
        fields: dict[str, Any] = {ours: config_json[key] for ours, key in self.keys.items() if key in config_json}
        fields.setdefault("types", 0)
        return Variant(**fields)

    def describe(self, variant: str | Variant, classes: Sequence[str]) -> dict[str, Any]:
        """The config.json with which transformers loads these sizes: what `infer` reads, and the classes."""
        shape = self.variant_of(variant)
        gelu = "activation" if self.name == "distilbert" else "hidden_act"
        return {
            "model_type": self.name,
            gelu: BUILT[gelu],
            **{key: getattr(shape, ours) for ours, key in self.keys.items()},
            "id2label": dict(enumerate(classes)),
            "label2id": {name: i for i, name in enumerate(classes)},
        }

    def _measured(self, arrays: Mapping[str, np.ndarray]) -> Variant:
        """The sizes that show in the arrays' shapes; the rest from the published network of that width."""

        def shape(layer: str, i: int = 0) -> tuple[int, ...]:
            name = f"{self.name}.{self.layers[layer].format(i=i)}.weight" if layer in self.layers else ""
            return arrays[name].shape if name in arrays else (0, 0)

        vocabulary, width = shape("embed/word")
        alike = [variant for variant in self.variants.values() if variant.width == width]
        if not alike:
            raise ConfigError(
                f"Without a config.json, weights must be as wide as a published network "
                f"({', '.join(map(str, sorted({v.width for v in self.variants.values()})))}), for they do not say how "
                f"many heads share the width; '{self.name}.{self.layers['embed/word']}.weight' gives {width or 'none'}."
            )
        return dataclasses.replace(
            alike[0],
            vocabulary=vocabulary,
            positions=shape("embed/position")[0],
            types=shape("embed/type")[0],
            depth=next(i for i in itertools.count() if not any(shape("block{i}/mlp/fc1", i))),
            units=shape("block{i}/mlp/fc1")[0],
        )


def pooled(sizes: Mapping[str, Variant], poolings: Iterable[str] = POOLINGS) -> dict[str, Variant]:
    """A table of variants: `sizes`, pooled as they were published, and "<size>_<pooling>" for each pooling."""
    return {
        **sizes,
        **{f"{name}_{p}": dataclasses.replace(shape, pooling=p) for name, shape in sizes.items() for p in poolings},
    }


def _layer(ours: str, theirs: str) -> Iterator[Name]:
    """The tensors of one layer, told by the last word of its name."""
    last = ours.rpartition("/")[2]
    if last in ("word", "position", "type"):
        yield Name(f"{theirs}.weight", "params", f"{ours}/embedding")
        return
    weight = Name(f"{theirs}.weight", "params", f"{ours}/kernel", "dense")
    yield Name(f"{theirs}.weight", "params", f"{ours}/scale") if last.startswith("norm") else weight
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")
