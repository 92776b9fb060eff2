"""Weights from a hub repository, "owner/name". A card in `weights/zoo` says how to use them.

The first download records its commit and the hash of every file in the lock file; each later load is checked against
them. Without a network the files come from the hub's cache.
"""

import dataclasses
import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import overload

import huggingface_hub
import numpy as np
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

from tljax.core import atomic, downloads
from tljax.core.errors import WeightsError
from tljax.core.types import Card, Published
from tljax.weights import cards, local_weights, lock_file, sentence_pooling, tensors

ZOO = Path(__file__).parents[1] / "zoo"
LOCK = Path("tljax.lock.json")
FILE = "model.safetensors"  # unless the card names another file
# Files that are downloaded at the same commit if the repository has them: the network's sizes, preprocessing, the
# tokenizer, the pooling and prompts of sentence-transformers.
BESIDE = (
    "config.json",
    "preprocessor_config.json",
    *local_weights.TOKENIZER,
    sentence_pooling.MODULES,
    "1_Pooling/config.json",
    sentence_pooling.PROMPTS,
)


def claims(spec: str) -> bool:
    """Whether `spec` is "owner/name"; not if the path exists, or ends in a suffix of weights."""
    named = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", spec) is not None
    return named and not tensors.is_file_name(spec) and not Path(spec).exists()


def zoo() -> list[str]:
    """The repositories that have a card."""
    return sorted(path.relative_to(ZOO).with_suffix("").as_posix() for path in ZOO.rglob("*.json"))


def read_card(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Card:
    """The card of `spec` from the zoo, else `card`. Nothing is downloaded.

    Raises:
      WeightsError: there is neither.
    """
    del lock
    if spec not in zoo():
        if card is None:
            raise WeightsError(
                f"The scaling of pixels must be known for '{spec}', but it has no card in tljax/weights/zoo/.\n"
                f"There are: {', '.join(zoo())}.\n"
                f"For another repository give at least config.model.card.mean and config.model.card.std."
            )
        return dataclasses.replace(card, repository=card.repository or spec, file=card.file or FILE)
    fields = json.loads((ZOO / f"{spec}.json").read_text(encoding="utf-8"))
    fields |= {key: tuple(fields[key]) for key in ("mean", "std")}
    return Card(**fields)


def read(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
    """Read the arrays of `spec` and its config.json; files that the hub's cache does not have are downloaded.

    Raises:
      WeightsError: there is no card; a file is not cached and cannot be downloaded; it differs from `lock` or the
        card; or it is damaged.
    """
    card = read_card(spec, card=card)
    lock = lock or LOCK
    entry = lock_file.read(lock, beside=BESIDE).get(spec, {})
    path = _locate(card, card.file, card.revision or entry.get("revision", ""))
    facts = {"revision": _commit(path, card), "sha256": atomic.sha256(path)}
    for pins in ({pin: getattr(card, pin) for pin in lock_file.PINS}, entry):
        lock_file.hold(lock, spec, path, {pin: (pins.get(pin), facts[pin]) for pin in lock_file.PINS})
    arrays = _arrays(path)  # before the lock is written: a damaged file must not get into it
    places, complete = _beside(card, facts["revision"], entry.get("beside"))
    beside = {name: atomic.sha256(place) for name, place in places.items()}
    for name, recorded in entry.get("beside", {}).items():
        lock_file.hold(lock, spec, places[name], {f"sha256 of {name}": (recorded, beside[name])})
    fresh = {"file": card.file, **facts} | ({"beside": beside} if complete else {})
    if fresh != entry and (complete or not entry):
        lock_file.record(lock, spec, fresh, file=path, beside=BESIDE)
    config = local_weights.config(path.parent, path, beside=places)
    if not card.mean and places.keys() & {cards.PROCESSOR, "config.json"} and (near := cards.beside(path.parent)):
        card = dataclasses.replace(near, repository=card.repository, file=card.file)  # none in the zoo, none given
    return Published(arrays, dataclasses.replace(card, **facts), str(path), config)


def locate(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Path:
    """The folder of the hub's cache with the weights and the tokenizer; raises as `read` does."""
    return Path(read(spec, card=card, lock=lock).where).parent


def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    try:
        return tensors.read(path)
    except WeightsError as error:
        raise WeightsError(f"{error}\nDelete '{path.resolve()}' to download it again.") from error


def _beside(card: Card, commit: str, recorded: Mapping[str, str] | None) -> tuple[dict[str, Path], bool]:
    """Name -> path of the files beside the weights; and whether these are all that the repository has.

    Without a network, only the files in the cache are known.

    Args:
      recorded: the files in the lock, which must all exist; None if they are not locked yet.
    """
    files = {name: str(PurePosixPath(card.file).parent / name) for name in (BESIDE if recorded is None else recorded)}
    cached = {name: _cached(card, file, commit) for name, file in files.items()}
    unknown = [name for name, places in cached.items() if places is None]
    complete = recorded is not None or not unknown or not _offline(_url(card, files[unknown[0]], commit))
    places = {name: Path(place) for name, place in cached.items() if isinstance(place, str)}
    if complete:
        fetched = {name: _locate(card, files[name], commit, optional=recorded is None) for name in unknown}
        places |= {name: place for name, place in fetched.items() if place is not None}
    return places, complete


def _cached(card: Card, file: str, revision: str) -> object:
    """The file's path in the hub's cache; None if the cache has no entry; another object if the hub has no file."""
    return huggingface_hub.try_to_load_from_cache(card.repository, file, revision=revision)


def _url(card: Card, file: str, revision: str) -> str:
    return huggingface_hub.hf_hub_url(card.repository, file, revision=revision)


def offline(spec: str) -> str:
    """Why `spec` cannot be downloaded; "" where the hub answers."""
    card = read_card(spec)
    return _offline(_url(card, card.file, card.revision or constants.DEFAULT_REVISION))


def _offline(url: str) -> str:
    """Why nothing can be downloaded, or "". Checked first, because the hub's client retries for minutes."""
    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else downloads.unreachable(url)


@overload
def _locate(card: Card, file: str, commit: str) -> Path: ...
@overload
def _locate(card: Card, file: str, commit: str, *, optional: bool) -> Path | None: ...
def _locate(card: Card, file: str, commit: str, *, optional: bool = False) -> Path | None:
    """The path of the file in the hub's cache; it is downloaded if necessary. `commit` "" means the newest commit.

    If the repository has no such file: None if it is `optional`, else an error.
    """
    revision = commit or constants.DEFAULT_REVISION
    cached = _cached(card, file, revision)
    if isinstance(cached, str):
        return Path(cached)
    what = f"'{card.repository}' ({file} at revision {revision})"
    url = _url(card, file, revision)
    if why := _offline(url):
        raise WeightsError(
            f"Weights {what} are not cached: looked in {constants.HF_HUB_CACHE}.\n"
            f"They cannot be downloaded from {downloads.host(url)} either: {why}.\n"
            f"Name a file or a folder that you have instead, where this name stands (of a config: "
            f"--config.model.weights=<file.safetensors>)."
        )
    try:
        return Path(huggingface_hub.hf_hub_download(card.repository, file, revision=revision))
    except Exception as error:  # HTTP, transport, xet, disk: the client has no common class for them
        if optional and isinstance(error, RemoteEntryNotFoundError):
            return None
        # The client's last error, "not in the cache either", hides the server's answer.
        first = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
        said = textwrap.shorten(str(first), 160) or type(error).__name__
        raise WeightsError(
            f"Weights {what} could not be downloaded from {downloads.host(url)}: {said}\n"
            f"Check the name and the revision, or name a file or a folder that you have instead (of a config: "
            f"--config.model.weights=<file.safetensors>)."
        ) from error


def _commit(path: Path, card: Card) -> str:
    """The hub's cache keeps a file at `snapshots/<commit>/<file>`."""
    return path.parents[len(Path(card.file).parts) - 1].name
