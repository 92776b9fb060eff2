"""The pretrained weights that a config names: read, under the family's names, with their variant and their card."""

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
from tljax.weights import channels as for_channels
from tljax.weights import sentence_pooling, translation, wrappers

TIMES = 3  # so many tensors more than a file holds may be missing from it, and are then named
AUTO = "auto"  # the variant that is read from the weights


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """What is known of the network before its first pixel."""

    published: Published | None  # the weights it starts from, under the family's names
    card: Card  # to preprocess by
    variant: VariantLike  # a name in the family's table, or sizes of its own
    notes: tuple[str, ...] = ()  # what was found out or changed, for people


def source_of(spec: str) -> str:
    """Which file of `tljax/weights/sources/` reads `spec`: the one that claims it, else a local file."""
    claims = [name for name in plugins.available("weight_sources") if find("weight_sources", name).claims(spec)]
    if len(claims) > 1:
        raise ConfigError(f"config.model.weights must mean one source; '{spec}' is claimed by {', '.join(claims)}.")
    return claims[0] if claims else "file"


def read(spec: str, *, card: Card | None, lock: Path) -> Published:
    """The arrays and card that `spec` names; `card` serves weights that have none of their own."""
    return find("weight_sources", source_of(spec)).read(spec, card=card, lock=lock)


def read_card(spec: str, *, card: Card | None, lock: Path) -> Card:
    """Only the card, without a download: what a run from scratch needs."""
    return find("weight_sources", source_of(spec)).read_card(spec, card=card, lock=lock)


def folder_of(spec: str, *, card: Card | None, lock: Path) -> Path:
    """The folder in which the weights lie on this machine, with what belongs to them: a tokenizer.

    Raises:
      WeightsError: there is none.
    """
    place = find("weight_sources", source_of(spec)).locate(spec, card=card, lock=lock)
    return place if place.is_dir() else place.parent


def check(config: ConfigDict, *, wanted: bool) -> None:
    """What `fetch` needs of `config`, before anything is read.

    Raises:
      ConfigError: no such family or variant, weights are wanted and none are named, or what says how pixels are
        scaled is missing or incomplete.
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
        raise ConfigError("Nothing says how pixels are scaled: set config.model.card.mean and .card.std.")
    mean, std = config.card.mean, config.card.std
    if len(std) != len(mean) and (std or config.card.scale != 1):
        raise ConfigError(
            f"config.model.card.std must hold a number for each of config.model.card.mean; got {std} for {mean}. Only "
            f"where config.model.card.scale is 1 may it be left out."
        )


def fetch(config: ConfigDict, *, channels: int = 3, wanted: bool) -> Pretrained:
    """What `config` (the model's) says: its weights, where `wanted`, its variant, and the card to preprocess by.

    Args:
      channels: of the pictures; weights that saw others are made to fit, see `channels`.

    Raises:
      ConfigError: weights are wanted and none are named, nothing says how pixels are scaled, or no such variant.
      WeightsError: the weights cannot be read, or are of another family.
    """
    check(config, wanted=wanted)
    family: Family = find("families", config.family)
    reads = wanted or config.variant == AUTO
    said = {key: _plain(value) for key, value in config.card.items() if value != ""}
    given = Card(**said) if config.card.mean else None
    if family.INPUT != "image":
        given = Card(mean=(), std=())  # there are no pixels to scale
    lock = Path(config.lock_file)
    if not config.weights:
        assert given is not None  # `check`
        return Pretrained(None, given, config.variant)
    if not reads:
        card, _ = _agreed(read_card(config.weights, card=given, lock=lock), given, config)
        card = for_channels.card(card, channels) if family.INPUT == "image" else card
        return Pretrained(None, card, config.variant)
    variant, published, notes = understood(family, config, read(config.weights, card=given, lock=lock))
    card, differs = _agreed(published.card, given, config)
    published, notes = dataclasses.replace(published, card=card), (*notes, *differs)
    if family.INPUT == "image":
        published, said = for_channels.fit(_sized(family, published), family.names(variant), channels)
        notes += said
    return Pretrained(published if wanted else None, published.card, variant, notes if wanted else ())


def understood(
    family: Family, config: ConfigDict, published: Published
) -> tuple[VariantLike, Published, tuple[str, ...]]:
    """The variant that the weights are of, the weights under the family's names, and what there is to say of it.

    Raises:
      WeightsError: they are of another family, or of a network that is not computed here.
    """
    published, notes = wrappers.taken_off(published, [plugins.name(family)], config.prefix)
    spelling = None
    if family.INPUT == "image":  # a text encoder's files differ by a prefix, which its `adapt` knows
        spelling = translation.recognise(published.arrays, plugins.name(family), published.where)
    if spelling is None:
        variant = _variant(family, config, published, published.config or None)
        shape = _shape(family, variant, published)
        check_cost(family, shape, published)
        variant, said = _pooled(family, config, variant, published.config.get(sentence_pooling.KEY, {}))
        return _named(family, variant), published, (*notes, *_said(family, config.variant, variant), *said)
    facts = translation.facts(published.config, spelling, published.where)
    arrays = translation.translate(published.arrays, spelling, published.where)
    published = dataclasses.replace(published, arrays=arrays, config={})
    shape = _shape(family, _variant(family, config, published, facts), published)
    variant = _shape(family, vars(shape) | facts, published)
    check_cost(family, variant, published)
    note = f"names: as {spelling.library} spells a {spelling.family}"
    return _named(family, variant), published, (*notes, note, *_said(family, config.variant, variant))


def _variant(family: Family, config: ConfigDict, published: Published, facts: Json | None) -> VariantLike:
    """The variant that `config` names; where that is "auto", that of the weights."""
    if config.variant != AUTO:
        return config.variant
    said = published.config
    if "variant" in said and said.get("family") == plugins.name(family):  # a model/ folder of ours
        return said["variant"]
    if not isinstance(family, Infers):
        raise ConfigError(
            f"config.model.variant='auto' needs a family that reads its sizes from tensors; '{config.family}' does "
            f"not. Name one of {', '.join(family.VARIANTS)}."
        )
    try:
        return family.infer(published.arrays, facts)
    except ConfigError as error:
        raise WeightsError(f"The network of '{published.where}' cannot be built as its file says: {error}") from error
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise WeightsError(
            f"The sizes of a '{config.family}' must show in the tensors of '{published.where}', but {error} does not "
            f"fit one. Name config.model.variant: {', '.join(family.VARIANTS)}."
        ) from error


def _shape(family: Family, variant: VariantLike, published: Published) -> NetworkSizes:
    """The sizes that `variant` means; WeightsError where what stands beside the weights cannot be meant."""
    try:
        return family.variant_of(variant)
    except ConfigError as error:
        raise WeightsError(f"The network of '{published.where}' cannot be built as its file says: {error}") from error


def check_cost(family: Family, variant: VariantLike, published: Published) -> None:
    """Whether the file can hold a network of these sizes, before anything is built.

    Raises:
      WeightsError: it has many tensors less.
    """
    wanted, held = len(family.names(variant)), len(published.arrays)
    if wanted > TIMES * held + 50:
        raise WeightsError(
            f"The weights in '{published.where}' must be of this network, which has {wanted:,} tensors; they are "
            f"{held:,}. What stands beside them is of another network, or config.model.variant is."
        )


def _pooled(
    family: Family, config: ConfigDict, variant: VariantLike, found: Mapping[str, str]
) -> tuple[VariantLike, tuple[str, ...]]:
    """A variant that was read from the weights, pooled as a folder of sentence-transformers says; and a note of it."""
    if config.variant != AUTO or not found:
        return variant, ()
    shape = family.variant_of(variant)
    if not isinstance(shape, Pools):
        raise TypeError(f"{plugins.name(family)} sees {family.INPUT}, which are not pooled as texts are")
    if not found["pooling"]:
        return variant, (f"pooling: {shape.pooling}; what the weights' folder says is not built here: {found['said']}",)
    return dataclasses.replace(shape, pooling=found["pooling"]), (f"pooling: {found['pooling']}, by {found['said']}",)


def _named(family: Family, variant: VariantLike) -> VariantLike:
    """The name of these sizes in the family's table, where they stand in it."""
    if isinstance(variant, str):
        return variant
    sizes = family.variant_of(variant)
    return next((name for name, entry in family.VARIANTS.items() if entry == sizes), sizes)


def _said(family: Family, asked: str, variant: VariantLike) -> tuple[str, ...]:
    """What to tell of a variant that was not asked for by this name."""
    found = _named(family, variant)
    return () if found == asked else (f"variant: {found}, by the weights",)


def _agreed(card: Card, given: Card | None, config: ConfigDict) -> tuple[Card, tuple[str, ...]]:
    """The weights' own card, which the one in the config must not contradict, and what there is to say of it.

    One with another number of channels is of pictures that the weights have not seen: it stands. Another interpolation
    may be asked for.
    """
    notes: tuple[str, ...] = ()
    if (asked := config.card.interpolation) and asked != card.interpolation:
        notes = (f"pictures are resized {asked}, as config.model.card.interpolation says; the weights saw "
                 f"{card.interpolation}",)  # fmt: skip
        card = dataclasses.replace(card, interpolation=asked)
    if given and len(given.mean) != len(card.mean):
        return dataclasses.replace(card, mean=given.mean, std=given.std), notes
    plain = Card(mean=(), std=())
    pixels = ["mean", "std"] if given and given.mean else []
    pixels += [key for key in ("scale", "channel_order") if config.card[key] != getattr(plain, key)]
    if bad := [key for key in pixels if given is None or getattr(given, key) != getattr(card, key)]:
        theirs = ", ".join(f"{key} {getattr(card, key)}" for key in bad)
        ours = ", ".join(f"{key} {_plain(config.card[key])}" for key in bad)
        raise ConfigError(
            f"The weights '{config.weights}' have a card: {theirs}; config.model.card says {ours}. Leave the config's "
            f"empty: --config.model.card.mean='()' and .std='()', scale and channel_order at their defaults."
        )
    return card, notes


def _sized(family: Family, published: Published) -> Published:
    """With the size of the pictures that they saw on their card, where the card lacks it and their tensors tell it."""
    if published.card.size or not isinstance(family, KnowsItsSize):
        return published
    card = dataclasses.replace(published.card, size=family.size_of(published.arrays))
    return dataclasses.replace(published, card=card)


def _plain(value: Any) -> Any:
    return tuple(float(x) for x in value) if isinstance(value, tuple | list) else value
