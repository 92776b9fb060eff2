"""A family of text encoders as Hugging Face publishes it: its sizes, its config.json, and its names.

A file holds an encoder alone ("embeddings.word_embeddings.weight") or an encoder with a head ("bert.embeddings...").
We use the second spelling. `adapt` translates the first to it, and older spellings too (gamma and beta of LayerNorm).
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.types import Json, Name, Record, Tree, VariantLike
from tljax.networks import sizes
from tljax.networks.encoder import POOLINGS, Encoder, Variant

# Layer here -> its published name, for BERT and RoBERTa; {i} is the number of the block. A name that begins with "/"
# does not get the encoder's prefix.
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
# Field of `Variant` -> its key in config.json, for BERT and RoBERTa. A list in config.json is joined with "|" here.
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
# The values that a config.json may have for these keys; "gelu" is the exact GELU.
BUILT = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False} | dict.fromkeys(
    ("hidden_act", "activation", "pooler_hidden_act"), "gelu"
)
OLDER = {r"\.gamma$": ".weight", r"\.beta$": ".bias"}  # older spelling of a tensor -> today's


@dataclasses.dataclass(frozen=True)
class Family:
    """The functions of a text family's file, as methods that read the family's tables."""

    name: str  # the name of the file, and the prefix of published names in a file with a head: "bert.embeddings..."
    layers: Mapping[str, str]  # as BERT_LAYERS
    keys: Mapping[str, str]  # as BERT_KEYS
    variants: Mapping[str, Variant]
    masked: Mapping[str, str]  # layer of the head for masked language modelling -> its published name
    pooled_head: str = "classifier"  # the published name of the classifier after a pooler
    classifies: bool = True  # whether the head of transformers' ...ForSequenceClassification is this one layer
    encoder: type[Encoder] = Encoder
    optional: Sequence[str] = OPTIONAL  # fields whose keys a config.json may leave out
    must: Json = dataclasses.field(default_factory=dict)  # the values that every config.json must have
    model_type: str = ""  # in config.json; "": `name`
    also: Sequence[str] = ()  # other names of the same network there
    older: Mapping[str, str] = dataclasses.field(default_factory=lambda: OLDER)

    @property
    def model_types(self) -> tuple[str, ...]:
        """What a config.json may call this network."""
        return (self.model_type or self.name, *self.also)

    def variant_of(self, variant: VariantLike) -> Variant:
        """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
        return sizes.variant(self.variants, variant, f"model.variant of '{self.name}'")

    def build(self, variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> Encoder:
        """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
        del bn_axis
        return self.encoder(self.variant_of(variant), dtype=dtype)

    def names(self, variant: VariantLike) -> tuple[Name, ...]:
        """Hugging Face's name of every tensor, and its path here."""
        shape = self.variant_of(variant)
        head = self.pooled_head if shape.pooling == "pooler" else "classifier"
        return (*self._rows(shape), *_layer("head", head))

    def unpooled(self, variant: VariantLike) -> VariantLike:
        """The variant that takes the first token instead of a pooler; a name if the table has one for it."""
        shape = self.variant_of(variant)
        if shape.pooling != "pooler":
            return variant
        unpooled = dataclasses.replace(shape, pooling="class")
        return next((name for name, entry in self.variants.items() if entry == unpooled), unpooled)

    def masked_names(self, variant: VariantLike) -> tuple[Name, ...]:
        """As `names`, but with the head for masked language modelling instead of the classifier."""
        return (*self._rows(self.variant_of(variant)), *self._masked_rows())

    def has_masked_head(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether these arrays hold the head for masked language modelling, or a part of it.

        Raises:
          WeightsError: the last layer of the head is another matrix than the word embeddings.
        """
        arrays = self.adapt(arrays)
        words = arrays.get(self._weight("embed/word"), np.empty(0))
        decoder = self.masked["decoder"]
        if decoder in arrays and not np.array_equal(arrays[decoder], words):
            raise WeightsError(
                f"The last layer of a head for masked language modelling must be the word embeddings; '{decoder}' in "
                f"these weights is another matrix. Choose other weights."
            )
        return any(row.published in arrays for row in self._masked_rows())

    def _rows(self, shape: Variant) -> Iterator[Name]:
        """The rows of the encoder."""
        for ours, theirs in self.layers.items():
            if shape.has(ours):
                for i in range(shape.depth if "{i}" in ours else 1):
                    yield from _layer(f"backbone/{ours.format(i=i)}", self._published(theirs).format(i=i))

    def _published(self, theirs: str) -> str:
        return theirs[1:] if theirs.startswith("/") else f"{self.name}.{theirs}"

    def _weight(self, layer: str, i: int = 0) -> str:
        """The published name of a layer's weight; "" if the family has no such layer."""
        return f"{self._published(self.layers[layer]).format(i=i)}.weight" if layer in self.layers else ""

    def _masked_rows(self) -> Iterator[Name]:
        for ours in ("dense", "norm"):
            yield from _layer(f"head/{ours}", self.masked[ours])
        yield Name(self.masked["bias"], "params", "head/bias")

    def adapt(
        self, arrays: Mapping[str, np.ndarray], shape: Tree = None, saw: tuple[int, ...] = ()
    ) -> dict[str, np.ndarray]:
        """Published arrays in the spelling of `names`; `shape` of the inputs makes no difference."""
        del shape, saw
        inside = tuple({theirs.partition(".")[0] + "." for theirs in self.layers.values() if theirs[0] != "/"})
        renamed = {}
        for name, array in arrays.items():
            for older, newer in self.older.items():
                name = re.sub(older, newer, name)
            renamed[f"{self.name}.{name}" if name.startswith(inside) else name] = array
        return renamed

    def infer(self, arrays: Mapping[str, np.ndarray], config_json: Json | None) -> Variant:
        """The sizes of the network of these arrays: from its config.json, or, without one, from the arrays.

        Raises:
          ConfigError: config.json describes a network that is not built here; or there is no config.json, and no
            published network has this width (arrays do not show the number of heads).
        """
        arrays = self.adapt(arrays)
        shape = self._measured(arrays) if config_json is None else self._configured(config_json)
        pooler = self._weight("pool/dense") in arrays
        return dataclasses.replace(shape, pooling="pooler" if pooler else "class")

    def _configured(self, config_json: Json) -> Variant:
        """The sizes in a config.json; keys that it may leave out get the defaults of transformers."""
        missing = [key for ours, key in self.keys.items() if ours not in self.optional and key not in config_json]
        missing += [key for key in self.must if key not in config_json]
        built = {**BUILT, **self.must, "model_type": self.model_type or self.name}
        other = [key for key, value in built.items() if config_json.get(key, value) != value]
        if config_json.get("model_type") in self.also:
            other.remove("model_type")
        if missing or other:
            raise ConfigError(
                f"The config.json of these weights must be that of a network that config.model.family builds.\n"
                f"  missing: {', '.join(missing) or 'none'}\n  other than it must be: "
                + (", ".join(f"{key} '{config_json[key]}', not '{built[key]}'" for key in other) or "none")
            )
        values = {ours: config_json[key] for ours, key in self.keys.items() if key in config_json}
        fields = {ours: "|".join(map(str, x)) if isinstance(x, list) else x for ours, x in values.items()}
        return self.variant_of({"types": 0, **fields})

    def describe(self, variant: VariantLike, classes: Sequence[str]) -> Record:
        """The config.json with which transformers loads these sizes: the keys that `infer` reads, and the classes.

        The classes are left out if transformers' classifier has other layers: it would initialise them at random.
        """
        shape = self.variant_of(variant)
        whole = self.classifies and shape.pooling == "pooler"
        labels = {"id2label": dict(enumerate(classes)), "label2id": {name: i for i, name in enumerate(classes)}}
        gelu = "activation" if self.name == "distilbert" else "hidden_act"
        return {
            "model_type": self.model_type or self.name,
            **self.must,
            gelu: BUILT[gelu],
            **{key: getattr(shape, ours) for ours, key in self.keys.items()},
            **(labels if whole else {}),
        }

    def _measured(self, arrays: Mapping[str, np.ndarray]) -> Variant:
        """The sizes that the arrays' shapes show; the rest from the published network of the same width."""

        def shape(layer: str, i: int = 0) -> tuple[int, ...]:
            name = self._weight(layer, i)
            return arrays[name].shape if name in arrays else (0, 0)

        units, width = shape("block{i}/mlp/fc1")
        alike = [variant for variant in self.variants.values() if variant.width == width]
        if not alike:
            raise ConfigError(
                f"Without a config.json, weights must be as wide as a published network "
                f"({', '.join(map(str, sorted({v.width for v in self.variants.values()})))}), for they do not say how "
                f"many heads share the width; '{self._weight('block{i}/mlp/fc1')}' gives {width or 'none'}."
            )
        vocabulary, embedding = shape("embed/word")
        known = alike[0]
        return dataclasses.replace(
            known,
            vocabulary=vocabulary,
            embedding=None if known.embedding is None else embedding,
            positions=shape("embed/position")[0] if "embed/position" in self.layers else known.positions,
            types=shape("embed/type")[0],
            depth=next(i for i in itertools.count() if not any(shape("block{i}/mlp/fc1", i))),
            units=units,
        )


def pooled(sizes: Mapping[str, Variant], poolings: Iterable[str] = POOLINGS) -> dict[str, Variant]:
    """A table of variants: `sizes` with their published pooling, and "<size>_<pooling>" for each pooling."""
    return {
        **sizes,
        **{f"{name}_{p}": dataclasses.replace(shape, pooling=p) for name, shape in sizes.items() for p in poolings},
    }


def _layer(ours: str, theirs: str) -> Iterator[Name]:
    """The tensors of one layer; the last word of its name tells its kind."""
    last = ours.rpartition("/")[2]
    if last in ("word", "position", "type", "distance"):
        yield Name(f"{theirs}.weight", "params", f"{ours}/embedding")
        return
    weight = Name(f"{theirs}.weight", "params", f"{ours}/kernel", "conv over tokens" if last == "conv" else "dense")
    yield Name(f"{theirs}.weight", "params", f"{ours}/scale") if "norm" in last else weight
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")
