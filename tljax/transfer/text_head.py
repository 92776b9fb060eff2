"""A head from the names of classes: their texts through the tower for texts of a CLIP (Radford et al. 2021), SigLIP or
TIPSv2.

A class's vector is the mean over templates of the unit vectors of its texts, of length 1 again. A picture's logits are
scale * cos(picture, class) + bias (CLIP has no bias). A linear head cannot divide each picture's vector by its length,
so `kernel` divides all by one length: the class predicted is the same, for a length is above 0. To begin from this head
instead of a random one is the fair baseline with few labels (Silva-Rodriguez et al. 2023, CLAP, arXiv:2312.12730).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.trees import flatten
from tljax.core.types import Arrays, Batch, Card, Published, Variables
from tljax.data.tokenizer import Tokenizer
from tljax.networks.encoder import check
from tljax.networks.network import Network
from tljax.weights import placement, pretrained

FAMILY = "text_tower"
PICTURES = (
    "vision_model.",
    "visual_projection.",
    "visual.",
    "vision_encoder.",
)  # the tensors of the tower for pictures begin so
BATCH = 32  # texts at a time
SHOWN = 5  # texts in an error
LEAST = 1e-12  # a shorter vector has no direction
KEYS = {"kernel", "bias"}  # of a head that is one linear layer
UNKNOWN = Card(mean=(), std=())  # texts have no pixels to scale


@dataclasses.dataclass(frozen=True)
class TextTower:
    """The tower for texts in a file of two towers, with its tokenizer."""

    network: Network
    variables: Variables
    tokenizer: Tokenizer
    scale: float  # of cosines, to logits
    bias: float  # added to logits; only SigLIP has one

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The unit vector of every text, (N, P) float32.

        SigLIP was trained on lower-case texts; the tokenizers of CLIP and TIPSv2 make them so themselves.

        Raises:
          ConfigError: texts are longer than the tower's longest; they are named.
        """
        shape = self.network.backbone.variant
        ids, _, cut = self.tokenizer([text.lower() for text in texts], (), shape.positions)
        lengths = np.array([len(row) for row in ids])
        if cut:
            long = [text for text, length in zip(texts, lengths, strict=True) if length == shape.positions]
            raise ConfigError(
                f"The text of a class must have at most {shape.positions} tokens; {cut} have more, of "
                f"{', '.join(long[:SHOWN])}. Shorten the template, or the names of classes."
            )
        tokens = np.full((len(ids), shape.positions), self.tokenizer.padding, np.int32)
        for row, text in zip(tokens, ids, strict=True):
            row[: len(text)] = text
        mask = np.arange(shape.positions) < lengths[:, None]
        batch = {"ids": tokens, "mask": mask, "types": np.zeros_like(tokens)}
        check(batch, shape)
        run = jax.jit(lambda variables, x: self.network.apply(variables, x, method="features"))
        parts = [{key: _some(x, i) for key, x in batch.items()} for i in range(0, len(ids), BATCH)]
        return unit(np.concatenate([np.asarray(run(self.variables, part)) for part in parts])[: len(ids)])

    def classes(self, names: Sequence[str], templates: Sequence[str]) -> np.ndarray:
        """The unit vector of every class, (K, P) float32. "_" in a name is a space in its texts.

        Raises:
          ConfigError: a template has not exactly one {}.
        """
        if wrong := [one for one in templates if one.count("{}") != 1] or (not templates and ["none"]):
            raise ConfigError(
                f'Every template must have one {{}} for the class, as "a photo of a {{}}"; got {wrong}. Change it.'
            )
        every = [one.replace("{}", name.replace("_", " ")) for one in templates for name in names]
        return unit(self.embed(every).reshape(len(templates), len(names), -1).mean(axis=0))


def _some(x: np.ndarray, start: int) -> np.ndarray:
    """BATCH rows from `start` on; the last row is repeated where there are fewer, so that one program does for all."""
    return x[np.minimum(np.arange(start, start + BATCH), len(x) - 1)]


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (N, P), each divided by its length."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), LEAST)


def read(spec: str, *, lock: Path, tokenizer: str = "") -> TextTower:
    """The tower for texts in the weights `spec`.

    Args:
      tokenizer: the folder of the tokenizer; "": that of the weights.

    Raises:
      WeightsError: the weights hold no such tower, or cannot be read; or there is no tokenizer.
    """
    published = pretrained.read(spec, card=UNKNOWN, lock=lock)
    text_arrays = Arrays.of(published.arrays, {name: None for name in published.arrays if name.startswith(PICTURES)})
    family = find("families", FAMILY)
    if not family.adapt(text_arrays).keys() & {"text_model.embeddings.token_embedding.weight"}:
        raise WeightsError(
            f"The names of classes become a head only with weights that hold a tower for texts, as those of CLIP, "
            f"SigLIP and TIPSv2 do in transformers' files; '{published.where}' holds none. Choose such weights, as "
            f"openai/clip-vit-base-patch32 or google/siglip2-base-patch16-224."
        )
    model_config = ConfigDict({"family": FAMILY, "variant": pretrained.AUTO, "prefix": ""})
    variant, known, _ = pretrained.understood(family, model_config, dataclasses.replace(published, arrays=text_arrays))
    network = Network(family.build(variant), nn.Dense(1))
    example = find("inputs", "tokens").example()
    known = dataclasses.replace(known, arrays=family.adapt(known.arrays))
    variables, _ = placement.start(
        network, example, seed=0, published=known, names=family.names(variant), unused=family.UNUSED
    )
    scale, bias = _scale(published), _number(published, "logit_bias")
    if scale is None:
        raise WeightsError(
            f"'{published.where}' must hold logit_scale or temperature, the scale of its logits, or its config.json "
            f"must have temperature; neither does."
        )
    folder = Path(tokenizer).expanduser() if tokenizer else pretrained.folder_of(spec, card=UNKNOWN, lock=lock)
    return TextTower(network, variables, Tokenizer(folder), scale, bias or 0.0)


def _scale(published: Published) -> float | None:
    """What cosines are multiplied by; None: nothing says it. TIPSv2 has its inverse, in its config if not a tensor."""
    if (logarithm := _number(published, "logit_scale")) is not None:
        return float(np.exp(logarithm))
    config = published.config or {}
    told = config.get("temperature", config.get("temperature_init_value"))
    temperature = _number(published, "temperature")
    temperature = told if temperature is None else temperature
    return 1 / float(temperature) if isinstance(temperature, int | float) and temperature > 0 else None


def _number(published: Published, name: str) -> float | None:
    return float(np.asarray(published.arrays[name]).reshape(())) if name in published.arrays else None


def projection(arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """CLIP's projection of pictures' features to the space of texts, (D, P); None: features are in it (SigLIP).

    Args:
      arrays: of the tower for pictures, under the names of the family 'vit'.
    """
    return arrays["head.weight"].T if "head.weight" in arrays else None


def logits(features: np.ndarray, projection: np.ndarray | None, classes: np.ndarray, tower: TextTower) -> np.ndarray:
    """Features of pictures (N, D) and vectors of classes (K, P) -> logits (N, K)."""
    vectors = features if projection is None else features @ projection
    return tower.scale * unit(vectors) @ classes.T + tower.bias


def head(
    features: np.ndarray, projection: np.ndarray | None, classes: np.ndarray, tower: TextTower
) -> dict[str, np.ndarray]:
    """{"kernel": (D, K), "bias": (K,)} of the linear head that predicts what `logits` predicts.

    Args:
      features: of some pictures, (N, D); the mean length of their vectors takes the place of each one's own.
    """
    vectors = features if projection is None else features @ projection
    length = np.maximum(np.linalg.norm(vectors, axis=1), LEAST).mean()
    kernel = classes.T if projection is None else projection @ classes.T
    bias = np.full(len(classes), tower.bias, np.float32)
    return {"kernel": (tower.scale / length * kernel).astype(np.float32), "bias": bias}


def begun(experiment: Experiment, config: ConfigDict) -> Experiment:
    """The experiment with a head from the names of its classes, by the templates of `text_head`.

    The length of pictures' vectors is that of the first training examples.

    Args:
      config: `config.model`.

    Raises:
      ConfigError: the network does not begin from published weights for pictures, or its head is not one linear layer.
      WeightsError: the weights hold no tower for texts.
    """
    weights, family = experiment.published, config.family
    initial = experiment.variables["params"]["head"]
    shapes = {path: leaf.shape for path, leaf in flatten(initial).items()}
    if weights is None or family != "vit" or {*map(len, shapes.values())} != {1, 2} or shapes.keys() != KEYS:
        raise ConfigError(
            f"config.model.text_head needs config.model.family=vit, weights, and a task with one linear layer on "
            f"classes; got family '{family}', {'weights' if weights else 'no weights'}, a head of "
            f"{', '.join(shapes)}. Set it to '' for a random head."
        )
    tower = read(config.weights, lock=Path(config.lock_file), tokenizer=config.tokenizer)
    classes = tower.classes(experiment.classes, config.text_head.split("|"))
    leaves = head(_features(experiment), projection(weights.arrays), classes, tower)
    if wrong := [f"{key} {x.shape}, not {shapes[key]}" for key, x in leaves.items() if x.shape != shapes[key]]:
        raise WeightsError(f"The tower for texts in '{weights.where}' makes another head: {', '.join(wrong)}.")
    params = {**experiment.variables["params"], "head": {k: x.astype(initial[k].dtype) for k, x in leaves.items()}}
    first = config.text_head.split("|")[0].replace("{}", experiment.classes[0])
    return dataclasses.replace(
        experiment,
        variables={**experiment.variables, "params": params},
        drawn=tuple(path for path in experiment.drawn if not path.startswith("head/")),
        notes=(*experiment.notes, f"head: from the texts of {len(classes)} classes, as '{first}'"),
    )


def _features(experiment: Experiment) -> np.ndarray:
    """The head's input for the first training examples, (N, D)."""
    train = experiment.parts["train"]
    batch = train.take(np.arange(min(BATCH, len(train))))

    @jax.jit
    def features(variables: Variables, batch: Batch) -> jax.Array:
        inputs = experiment.prepare(batch, jax.random.key(0), False)["inputs"]
        return experiment.network.apply(variables, inputs, method="features")

    return np.asarray(features(experiment.variables, batch))
