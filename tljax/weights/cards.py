"""Cards as files: our own, and the files in which transformers and timm describe preprocessing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tljax.core import settings, untrusted
from tljax.core.errors import WeightsError
from tljax.core.types import Card, Json, Record

KEY = "model.card."
PROCESSOR = "preprocessor_config.json"  # of transformers
# PIL's numbers for interpolations; transformers writes them as "resample".
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
LARGEST = 2048  # pixels on a side; larger pictures would take gigabytes
LEAST = 0.05  # the least share of a picture's side that a crop may keep
# Field -> (what must hold, the test of it); the same rules as for config.model.card.
RULES = {
    "size": (f"a whole number in [0, {LARGEST}]", lambda x: isinstance(x, int) and 0 <= x <= LARGEST),
    "shape": (
        f"() or two whole numbers in [1, {LARGEST}]",
        lambda x: not x or (len(x) == 2 and all(isinstance(side, int) and 1 <= side <= LARGEST for side in x)),
    ),
    "crop": (f"0 or in [{LEAST}, 1]", lambda x: x == 0 or LEAST <= x <= 1),
    **{key.removeprefix(KEY): rule for key, rule in settings.RULES.items() if key.startswith(KEY)},
    "interpolation": ("bilinear, bicubic, nearest or lanczos", lambda x: x in RESAMPLE.values()),
}
WHOLE = 384  # from this size on, transformers' ConvNextImageProcessor resizes the whole picture, without a crop


def beside(place: Path) -> Card | None:
    """The card beside the weights at `place`: for a file `<name>.card.json`; for a folder `card.json`, or the file of
    transformers or timm.

    Raises:
      WeightsError: the card cannot be used.
    """
    own = place / "card.json" if place.is_dir() else place.with_suffix(".card.json")
    if own.is_file():
        return read(own)
    processor, config = place / PROCESSOR, place / "config.json"
    if processor.is_file():
        return _used(processor, lambda content: Card(**of_processor(content), sources={"preprocessing": PROCESSOR}))
    if config.is_file() and "pretrained_cfg" in (content := load(config)):
        return _used(
            config, lambda _: Card(**of_timm(content["pretrained_cfg"]), sources={"preprocessing": "config.json"})
        )
    return None


def read(file: Path) -> Card:
    """Read a card that `Card.as_dict` wrote."""

    def make(content: Json) -> Card:
        fields: Record = {key: tuple(x) if isinstance(x, list) else x for key, x in content.items()}
        return Card(**fields)

    return _used(file, make)


def load(file: Path) -> Record:
    """The JSON object in `file`.

    Raises:
      WeightsError: the file does not hold one.
    """
    return _loaded(file, dict, "a JSON object")


def load_list(file: Path) -> list[Record]:
    """The list of JSON objects in `file`.

    Raises:
      WeightsError: the file does not hold one.
    """
    rows = _loaded(file, list, "a JSON list")
    if not all(isinstance(row, dict) for row in rows):
        raise WeightsError(f"'{file}' must hold a JSON list of objects.")
    return rows


def _loaded(file: Path, kind: type, what: str) -> Any:
    try:
        content = untrusted.parse(file.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise ValueError(f"got {type(content).__name__}")
    except (ValueError, OSError) as error:
        raise WeightsError(f"'{file}' must hold {what}: {error}.") from error
    return content


def of_processor(config: Json) -> Record:
    """Fields of a card from a preprocessor_config.json.

    Raises:
      KeyError, ValueError: a field that preprocessing needs is missing.
    """
    normalised = config.get("do_normalize", True)
    mean, std = (config["image_mean"], config["image_std"]) if normalised else ((0.0,) * 3, (1.0,) * 3)
    size, cropped = config.get("size", {}), config.get("crop_size", {})
    resized = size if isinstance(size, int) else size.get("shortest_edge", size.get("height", 0))
    side = cropped if isinstance(cropped, int) else cropped.get("height", 0)
    if "crop_pct" in config and resized < WHOLE:  # the picture is resized to more than the crop's size first
        side, resized = resized, round(resized / config["crop_pct"])
    elif not (side and config.get("do_center_crop", False)):
        side = resized
    return {
        "mean": tuple(mean),
        "std": tuple(std),
        "scale": round(1 / config.get("rescale_factor", 1 / 255), 6) if config.get("do_rescale", True) else 1.0,
        "interpolation": RESAMPLE[config.get("resample", 2)],
        "size": side,
        "crop": side / resized if resized else 0.0,
    }


def of_timm(config: Json) -> Record:
    """Fields of a card from the "pretrained_cfg" of a timm config.json."""
    fields = {"mean": tuple(config["mean"]), "std": tuple(config["std"]), "interpolation": config["interpolation"]}
    return fields | {
        "size": config["input_size"][-1],
        "crop": config["crop_pct"],
        "licence": config.get("license") or "",
    }


def _used(file: Path, make: Callable[[Json], Card]) -> Card:
    """The card that `make` reads from `file`; all its values must be allowed."""
    try:
        card = make(untrusted.parse(file.read_text(encoding="utf-8")))
        wrong = [f"{name} must be {must}; got {untrusted.shown(getattr(card, name))}" for name, must in _unfit(card)]
        if wrong := wrong or untrusted.faults(Card, vars(card), {"parameters": (0, 10**12)}):
            raise ValueError(", ".join(wrong))
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, OSError) as error:
        raise WeightsError(f"The card '{file}' must be JSON with the fields of types.Card: {error}") from error
    return card


def _unfit(card: Card) -> Iterator[tuple[str, str]]:
    """The fields with values that are not allowed, and what they must be."""
    for name, (must, holds) in RULES.items():
        try:
            fits = holds(getattr(card, name))
        except (TypeError, OverflowError):  # a text instead of a number, or a number of a thousand digits
            fits = False
        if not fits:
            yield name, must
    if len(card.mean) != len(card.std):
        yield "std", f"as many numbers as mean ({len(card.mean)}), unless scale is 1"
