"""The cards of published weights; `zoo check FILE` reads a file of weights and runs its network."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tljax.cli import keep_compiled
from tljax.core import layer_groups
from tljax.core.errors import ConfigError, DataError
from tljax.core.plugins import find
from tljax.core.trees import flatten
from tljax.core.types import Card, Published
from tljax.core.untrusted import printable
from tljax.reporting.terminal import show
from tljax.serving import published_model
from tljax.serving.saved_model import Model
from tljax.weights.pretrained import AUTO

COLUMNS = ("weights", "family", "variant", "parameters", "GFLOPs", "pixels", "classes", "licence")
STAGES = ("stage", "parameters", "share", "output")
TOP = 5  # classes to show of a picture


def main(arguments: Sequence[str]) -> None:
    """`tljax zoo [--family NAME]`, or `tljax zoo check FILE [--family NAME] [--variant NAME] [--picture FILE]`.

    GFLOPs are for one picture of the card's size: 2 FLOPs for each multiply-add of convolutions and matrix products.
    A text encoder has neither pixels nor classes.

    Raises:
      TljaxError: there is no such family; or a file cannot be read, or is not of this network.
    """
    if list(arguments[:1]) == ["check"]:
        return check(arguments[1:])
    parser = argparse.ArgumentParser(prog="tljax zoo", description=__doc__, epilog="tljax zoo check --help")
    parser.add_argument("--family", help="only the cards of this family")
    family = parser.parse_args(arguments).family
    cards = [find("weight_sources", "hub").read_card(spec) for spec in find("weight_sources", "hub").zoo()]
    chosen = [card for card in cards if family in (None, card.family)]
    if not chosen:
        known = ", ".join(sorted({card.family for card in cards}))
        raise ConfigError(f"--family must be one of those with cards, {known}; got '{family}'.")
    order = sorted(chosen, key=lambda card: (card.family, card.parameters, card.repository))
    return show("", COLUMNS, [_row(card) for card in order])


def check(arguments: Sequence[str]) -> None:
    """Print the content of a file of weights by stage, and the network's output for a picture, or for noise.

    Raises:
      WeightsError: the file cannot be read, or differs from every network of its family; all differences are listed.
      DataError: the picture cannot be read.
    """
    about = "Print the content of a file of weights by stage, and its output for a picture, for noise, or for tokens."
    parser = argparse.ArgumentParser(prog="tljax zoo check", description=about)
    parser.add_argument("file", help="a file of weights, a folder that holds one, or a hub repository")
    parser.add_argument("--family", default="", help="a model family; by default told by the tensors' names")
    parser.add_argument("--variant", default=AUTO, help="one of the family's; by default told by the tensors' shapes")
    parser.add_argument("--prefix", default="", help="of a file of several networks: what the names of one begin with")
    parser.add_argument("--picture", type=Path, help="what to run it on; by default noise")
    parser.add_argument("--mean", default="", help="of pixels over 255, a channel each: 0.5,0.5,0.5; where no card is")
    parser.add_argument("--std", default="", help="the same")
    options = parser.parse_args(arguments)
    card = _card(options.mean, options.std)
    keep_compiled()
    lock = find("weight_sources", "hub").LOCK
    model, notes, published = published_model.load(
        options.file,
        family=options.family,
        variant=options.variant,
        prefix=options.prefix,
        lock=lock,
        card=card,
    )
    kept = ("backbone/", "head/") if model.classes else ("backbone/",)
    leaves = {path: x for path, x in flatten(model.variables["params"]).items() if path.startswith(kept)}
    total = sum(leaf.size for leaf in leaves.values())
    _say(f"file: {published.where}: {len(published.arrays)} tensors, {_types(published)}")
    _say(f"network: {model.family} {_named(model)}, {total:,} parameters, {len(model.classes)} classes")
    for note in notes:
        _say(note)
    _say(f"card: {_said(model.card) if 'size' in model.input else 'a text encoder has no pixels to scale'}")
    show("", STAGES, _stages(model, leaves, total))
    _say(f"differences: none\n{_ran(model, options.picture)}")


def _say(text: str) -> None:
    print(printable(text))


def _card(mean: str, std: str) -> Card:
    """The card of the command line; an empty one without --mean."""
    try:
        means, stds = (tuple(float(word) for word in words.split(",") if word.strip()) for words in (mean, std))
    except ValueError:
        means, stds = (), (1.0,)
    if len(means) != len(stds) or not np.isfinite([*means, *stds]).all() or not all(value > 0 for value in stds):
        raise ConfigError(
            f"--mean and --std must be as many numbers, the latter > 0, such as 0.5,0.5,0.5; got '{mean}' and '{std}'."
        )
    return Card(mean=means, std=stds)


def _row(card: Card) -> tuple[str, ...]:
    sizes = (f"{card.parameters:,}", f"{card.gflops:.2f}" if card.gflops else "-")
    sizes += (str(card.size or "-"), str(card.classes or "-"))
    return (card.repository, card.family, card.variant, *sizes, card.licence)


def _stages(model: Model, leaves: dict[str, np.ndarray], total: int) -> list[tuple[str, ...]]:
    """A row for each stage, and one for the head."""
    sizes: dict[str, int] = {}
    for path, leaf in leaves.items():
        stage = layer_groups.stage_of(path)
        sizes[stage] = sizes.get(stage, 0) + leaf.size
    x, rows = model.asked.example, []
    for stage in model.network.backbone.stages:

        def run(variables, x, stage=stage):
            return model.network.apply(variables, x, method=lambda net, x: net.backbone(x, start=stage, stop=stage))

        x = jax.eval_shape(run, model.variables, x)
        rows.append((stage, sizes.get(stage, 0), " x ".join(map(str, jax.tree.leaves(x)[0].shape[1:]))))
    rows.append(("head", sizes.get("head", 0), str(len(model.classes))))
    return [(stage, f"{size:,}", f"{size / total:.1%}", shape) for stage, size, shape in rows]


def _ran(model: Model, picture: Path | None) -> str:
    """The network's output for a picture; without one, for noise like normalised pixels."""
    what = f"ran on '{picture}'" if picture else "ran on noise" if "size" in model.input else "ran on tokens at random"
    pixels = _pixels(model, picture)
    apply = partial(model.network.apply, method=None if model.classes else "features")
    found = np.asarray(jax.jit(apply)(model.variables, pixels))
    if not np.isfinite(found).all():
        return f"{what}: {np.count_nonzero(~np.isfinite(found)):,} of {found.size:,} outputs are not finite"
    if not model.classes:
        return f"{what}: features {' x '.join(map(str, found.shape[1:]))}, all finite; it has no classifier"
    best = model.task.answer(model.task.outputs(found)[0], model.classes, TOP)
    return f"{what}: " + ", ".join(f"class {name} {probability:.4f}" for name, probability in best)


def _pixels(model: Model, picture: Path | None) -> Any:
    """(1, H, W, C), normalised; of a text encoder tokens."""
    if "size" not in model.input and picture is None:
        return model.asked.example
    if "size" not in model.input:
        raise ConfigError(f"--picture needs weights that see pictures; '{model.family}' reads texts. Leave it out.")
    if picture is None:
        shape = (1, model.input["size"], model.input["size"], model.input["channels"])
        return np.random.default_rng(0).standard_normal(shape, np.float32)
    if not model.card.mean:
        raise ConfigError(
            "--picture needs a card: the scaling of pixels for these weights is unknown. Give --mean and --std, "
            'or put a card beside the file, as <name>.card.json with {"mean": [...], "std": [...]}, or as card.json '
            "in its folder."
        )
    try:
        image = model.asked.read(picture)
    except ValueError as error:
        raise DataError(f"--picture must be a readable picture; '{picture}' is {error}.") from error
    return model.asked.prepare({"image": image[None]}, jax.random.key(0), False)["inputs"]


def _types(published: Published) -> str:
    return ", ".join(sorted({str(published.arrays[name].dtype) for name in published.arrays}))


def _named(model: Model) -> str:
    return model.variant if isinstance(model.variant, str) else f"of sizes of its own ({model.variant})"


def _said(card: Card) -> str:
    if not card.mean:
        return "none: set config.model.card.mean and .std to use these weights"
    mean, std = (", ".join(f"{x:g}" for x in values) for values in (card.mean, card.std))
    return f"{card.channel_order} / {card.scale:g}, mean {mean}, std {std}, {card.size or 'unknown'} pixels"
