"""Read the pretrained weights that a config names: arrays under the family's names, the variant, and the card."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax.core import plugins
from tljax.core.errors import ConfigError, WeightsError
from tljax.core.plugins import find
from tljax.core.types import Card, Json, NetworkSizes, Published, VariantLike
from tljax.networks.families import Family, Infers, KnowsItsSize, Pools
from tljax.weights import architectures, sentence_pooling, translation, wrappers
from tljax.weights import channels as for_channels

TIMES = 3  # a network may have at most this many times the file's tensors; then the missing ones are listed
AUTO = "auto"  # the variant that is read from the weights


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """The weights, card and variant of a network, known before any data are read."""

    published: Published | None  # the pretrained weights, under the family's names; None: from scratch
    card: Card  # for preprocessing
    variant: VariantLike  # a name in the family's table, or sizes
    notes: tuple[str, ...] = ()  # for the user: facts read from the weights, and changes to them


def source_of(spec: str) -> str:
    """The file of `tljax/weights/sources/` that reads `spec`: the one that claims it, else `file`."""
    claims = [name for name in plugins.available("weight_sources") if find("weight_sources", name).claims(spec)]
    if len(claims) > 1:
        raise ConfigError(f"config.model.weights must mean one source; '{spec}' is claimed by {', '.join(claims)}.")
    return claims[0] if claims else "file"


def read(spec: str, *, card: Card | None, lock: Path) -> Published:
    """The arrays and the card that `spec` names; `card` is for weights that have no card."""
    return find("weight_sources", source_of(spec)).read(spec, card=card, lock=lock)


def read_card(spec: str, *, card: Card | None, lock: Path) -> Card:
    """Only the card, without a download: for a run from scratch."""
    return find("weight_sources", source_of(spec)).read_card(spec, card=card, lock=lock)


def folder_of(spec: str, *, card: Card | None, lock: Path) -> Path:
    """The folder on this machine that holds the weights, and a tokenizer if they have one.

    Raises:
      WeightsError: there is no such folder.
    """
    place = find("weight_sources", source_of(spec)).locate(spec, card=card, lock=lock)
    return place if place.is_dir() else place.parent


def check(config: ConfigDict, *, wanted: bool) -> None:
    """Check the keys that `fetch` reads, before any file is read.

    Raises:
      ConfigError: there is no such family or variant; weights are wanted and none are named; or the scaling of pixels
        is missing or incomplete.
    """
    family: Family = find("families", config.family)
    if config.variant != AUTO:
        family.names(config.variant)
    if not config.weights and (wanted or config.variant == AUTO):
        why = "This strategy starts from pretrained weights" if wanted else "config.model.variant='auto' reads them"
        raise ConfigError(
            f"{why}, and config.model.weights is empty. Name a .safetensors file, a run's model/ folder or a hub "
            f"repository, or choose --config.strategy.name=scratch and a variant."
        )
    if not config.weights and family.INPUT == "image" and not config.card.mean:
        raise ConfigError("The scaling of pixels must be known: set config.model.card.mean and .card.std.")
    mean, std = config.card.mean, config.card.std
    if len(std) != len(mean) and (std or config.card.scale != 1):
        raise ConfigError(
            f"config.model.card.std must hold a number for each of config.model.card.mean; got {std} for {mean}. It "
            f"may be left out only if config.model.card.scale is 1."
        )


def fetch(config: ConfigDict, *, channels: int = 3, wanted: bool) -> Pretrained:
    """The weights (if `wanted`), the variant and the card for preprocessing that `config` (config.model) names.

    Args:
      channels: of the pictures; weights with another number of channels are made to fit, see `channels`.

    Raises:
      ConfigError: weights are wanted and none are named, the scaling of pixels is unknown, or no such variant.
      WeightsError: the weights cannot be read, or belong to another family.
    """
    check(config, wanted=wanted)
    family: Family = find("families", config.family)
    reads = wanted or config.variant == AUTO
    fields = {key: _plain(value) for key, value in config.card.items() if value != ""}
    own_card = Card(**fields) if config.card.mean else None
    if family.INPUT != "image":
        own_card = Card(mean=(), std=())  # texts have no pixels to scale
    lock = Path(config.lock_file)
    if not config.weights:
        assert own_card is not None  # `check` raised otherwise
        return Pretrained(None, own_card, config.variant)
    if not reads:
        card, _ = _agreed(read_card(config.weights, card=own_card, lock=lock), own_card, config)
        card = for_channels.card(card, channels) if family.INPUT == "image" else card
        return Pretrained(None, dataclasses.replace(card, prefix=""), config.variant)
    variant, published, notes = understood(family, config, read(config.weights, card=own_card, lock=lock))
    card, differs = _agreed(published.card, own_card, config)
    pooling: Mapping[str, str] = published.config.get(sentence_pooling.KEY, {})
    if pooling.get("prefix"):
        card = dataclasses.replace(card, prefix=pooling["prefix"])
    elif pooling.get("prompts") and not card.prefix:
        notes += (
            f"prompts of the weights: {pooling['prompts']}; none stands before a text unless config.data.prefix does",
        )
    published, notes = dataclasses.replace(published, card=card), (*notes, *differs)
    if family.INPUT == "image":
        published, fields = for_channels.fit(_sized(family, published), family.names(variant), channels)
        notes += fields
    if not wanted:
        return Pretrained(None, dataclasses.replace(published.card, prefix=""), variant)
    return Pretrained(published, published.card, variant, notes)


def understood(
    family: Family, config: ConfigDict, published: Published
) -> tuple[VariantLike, Published, tuple[str, ...]]:
    """The variant of the weights, the weights under the family's names, and notes for the user.

    Raises:
      WeightsError: the weights belong to another family, or to a network that tljax does not build.
    """
    published, notes = wrappers.taken_off(published, [plugins.name(family)], config.prefix)
    spelling = None
    if family.INPUT == "image":  # files of text encoders differ only by a prefix, which `adapt` handles
        spelling = translation.recognise(published.arrays, plugins.name(family), published.where)
    if spelling is None:
        architectures.check(plugins.name(family), published.config, published.where)
        variant = _variant(family, config, published, published.config or None)
        shape = _shape(family, variant, published)
        check_cost(family, shape, published)
        variant, pooling = _pooled(family, config, variant, published.config.get(sentence_pooling.KEY, {}))
        return _named(family, variant), published, (*notes, *_said(family, config.variant, variant), *pooling)
    facts = translation.facts(published.config, spelling, published.where)
    architectures.check(plugins.name(family), published.config, published.where)
    arrays = translation.translate(published.arrays, spelling, published.where)
    published = dataclasses.replace(published, arrays=arrays, config={})
    shape = _shape(family, _variant(family, config, published, facts), published)
    variant = _shape(family, vars(shape) | facts, published)
    check_cost(family, variant, published)
    note = f"names: as {spelling.library} spells a {spelling.family}"
    return _named(family, variant), published, (*notes, note, *_said(family, config.variant, variant))


def _variant(family: Family, config: ConfigDict, published: Published, facts: Json | None) -> VariantLike:
    """The variant that `config` names; for "auto", the variant of the weights."""
    if config.variant != AUTO:
        return config.variant
    content = published.config
    if "variant" in content and content.get("family") == plugins.name(family):  # a model/ folder of a run
        return content["variant"]
    if not isinstance(family, Infers):
        raise ConfigError(
            f"config.model.variant='auto' needs a family that can read its sizes from tensors; '{config.family}' "
            f"cannot. Name one of {', '.join(family.VARIANTS)}."
        )
    try:
        return family.infer(published.arrays, facts)
    except ConfigError as error:
        raise WeightsError(f"The network of '{published.where}' cannot be built as its file says: {error}") from error
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise WeightsError(
            f"The tensors of '{published.where}' must show the sizes of a '{config.family}', but {error} does not "
            f"fit one. Name config.model.variant: {', '.join(family.VARIANTS)}."
        ) from error


def _shape(family: Family, variant: VariantLike, published: Published) -> NetworkSizes:
    """The sizes of `variant`; WeightsError if sizes from the file beside the weights are not allowed."""
    try:
        return family.variant_of(variant)
    except ConfigError as error:
        raise WeightsError(f"The network of '{published.where}' cannot be built as its file says: {error}") from error


def check_cost(family: Family, variant: VariantLike, published: Published) -> None:
    """Check that the file can hold a network of these sizes, before anything is built.

    Raises:
      WeightsError: the file has far fewer tensors than the network.
    """
    needed, stored = len(family.names(variant)), len(published.arrays)
    if needed > TIMES * stored + 50:
        raise WeightsError(
            f"The weights in '{published.where}' must be those of the network, which has {needed:,} tensors; the file "
            f"has {stored:,}. The config.json beside it, or config.model.variant, belongs to another network."
        )


def _pooled(
    family: Family, config: ConfigDict, variant: VariantLike, pooling: Mapping[str, str]
) -> tuple[VariantLike, tuple[str, ...]]:
    """The variant from the weights with the pooling of a folder of sentence-transformers; and a note about it."""
    if config.variant != AUTO or not pooling:
        return variant, ()
    shape = family.variant_of(variant)
    if not isinstance(shape, Pools):
        raise TypeError(f"{plugins.name(family)} sees {family.INPUT}, which are not pooled as texts are")
    if not pooling["pooling"]:
        note = f"pooling: {shape.pooling}; tljax has no pooling as in the weights' folder: {pooling['said']}"
        return variant, (note,)
    return dataclasses.replace(shape, pooling=pooling["pooling"]), (
        f"pooling: {pooling['pooling']}, by {pooling['said']}",
    )


def _named(family: Family, variant: VariantLike) -> VariantLike:
    """The name of these sizes in the family's table, if it has one; else the sizes."""
    if isinstance(variant, str):
        return variant
    sizes = family.variant_of(variant)
    return next((name for name, entry in family.VARIANTS.items() if entry == sizes), sizes)


def _said(family: Family, asked: str, variant: VariantLike) -> tuple[str, ...]:
    """A note of the variant if the config does not name it so."""
    name = _named(family, variant)
    return () if name == asked else (f"variant: {name}, by the weights",)


def _agreed(card: Card, own_card: Card | None, config: ConfigDict) -> tuple[Card, tuple[str, ...]]:
    """The weights' card, and notes; the card in the config must not contradict it.

    If the config's card has another number of channels, it is for another kind of picture, and is used. The config
    may also choose another interpolation.
    """
    notes: tuple[str, ...] = ()
    if (asked := config.card.interpolation) and asked != card.interpolation:
        notes = (f"pictures are resized {asked}, as config.model.card.interpolation says; the weights were trained "
                 f"with {card.interpolation}",)  # fmt: skip
        card = dataclasses.replace(card, interpolation=asked)
    if own_card and len(own_card.mean) != len(card.mean):
        return dataclasses.replace(card, mean=own_card.mean, std=own_card.std), notes
    plain = Card(mean=(), std=())
    pixels = ["mean", "std"] if own_card and own_card.mean else []
    pixels += [key for key in ("scale", "channel_order") if config.card[key] != getattr(plain, key)]
    if bad := [key for key in pixels if own_card is None or getattr(own_card, key) != getattr(card, key)]:
        published = ", ".join(f"{key} {getattr(card, key)}" for key in bad)
        configured = ", ".join(f"{key} {_plain(config.card[key])}" for key in bad)
        raise ConfigError(
            f"The weights '{config.weights}' have a card: {published}; config.model.card says {configured}. Leave the "
            f"config's card empty: --config.model.card.mean='()' and .std='()', and the defaults of .scale and "
            f".channel_order."
        )
    return card, notes


def _sized(family: Family, published: Published) -> Published:
    """The weights; if the card has no picture size and the tensors show it, the card gets this size."""
    if published.card.size or not isinstance(family, KnowsItsSize):
        return published
    card = dataclasses.replace(published.card, size=family.size_of(published.arrays))
    return dataclasses.replace(published, card=card)


def _plain(value: Any) -> Any:
    return tuple(float(x) for x in value) if isinstance(value, tuple | list) else value
