"""Weights on this machine: a file, or a folder that a run, transformers or timm wrote."""

from collections.abc import Container
from pathlib import Path

from tljax.core import downloads
from tljax.core.errors import WeightsError, gather
from tljax.core.types import Card, Json, Published
from tljax.weights import cards, sentence_pooling, tensors

FILE = "model.safetensors"  # the file of weights in a folder; no other name is tried
CONFIGS = ("model.json", "config.json")  # in a folder: ours, and that of transformers and timm
SENTENCEPIECE = ("spm.model", "sentencepiece.bpe.model", "spiece.model")  # these need the package sentencepiece
# The files of a tokenizer in a folder; all that exist are read.
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    *SENTENCEPIECE,
)


def read(place: Path, card: Card | None) -> Published:
    """All arrays of `place`, their card (the one beside them, else `card`), and the network's config beside them.

    Raises:
      WeightsError: the file is absent or damaged, has another format than its suffix says, or has no card.
    """
    path = locate(place)
    arrays, own_card, content = gather(
        lambda: tensors.read(path), lambda: read_card(place, card), lambda: config(place, path)
    )
    checksum = {"sha256": own_card.sha256} if own_card.sha256 and own_card.file in ("", path.name) else {}
    if wrong := downloads.differences(path, checksum):
        raise WeightsError(
            f"The weights must be as they were written; of '{path}' the {wrong[0]} (its card.json says so). Copy them "
            f"again, or run the command that wrote them again. If the change is intended, empty sha256 in card.json."
        )
    return Published(arrays, own_card, str(path), content)


def read_card(place: Path, card: Card | None) -> Card:
    """The card beside the weights, else `card`; an error if there is neither."""
    path = locate(place)
    own_card = cards.beside(place) or card
    if own_card is None:
        own = place / "card.json" if place.is_dir() else path.with_suffix(".card.json")
        raise WeightsError(
            f"The scaling of pixels must be known for '{path}', but it has no card. Set config.model.card.mean and "
            f"config.model.card.std (and .scale, .channel_order), or put a card at '{own}'."
        )
    return own_card


def locate(place: Path) -> Path:
    """The file of weights at `place`.

    Raises:
      WeightsError: there is none, or no format has its suffix.
    """
    path = place / FILE if place.is_dir() else place
    if not path.is_file():
        raise WeightsError(
            f"Pretrained weights: no file '{path}'. Give a file that ends in {', '.join(tensors.suffixes())},\n"
            f"  a folder that holds {FILE}, or a hub repository: --config.model.weights=<file, folder or owner/name>"
        )
    if path.suffix not in tensors.suffixes():
        raise WeightsError(
            f"Weights files must end in {', '.join(tensors.suffixes())}; got '{path}'. Convert it with the library "
            f"that wrote it, for example with safetensors.torch.save_file."
        )
    return path


def config(place: Path, path: Path, beside: Container[str] | None = None) -> Json:
    """The config of the network, read from the folder `place` or from beside the file `path`; {} if there is none.

    In a folder of sentence-transformers, `sentence_pooling.KEY` holds the pooling of its texts, and their prompts.

    Args:
      beside: the files in the lock; pooling and prompts are read only from these. None: from all files in the folder.
    """
    files = [place / name for name in CONFIGS] if place.is_dir() else [path.with_suffix(".json")]
    if not place.is_dir() and path.name == FILE:
        files.append(path.parent / "config.json")
    content = next((cards.load(file) for file in files if file.is_file()), {})
    trusted = beside is None or sentence_pooling.MODULES in beside
    prompts = beside is None or sentence_pooling.PROMPTS in beside
    pooling = sentence_pooling.read(path.parent, prompts=prompts) if content and trusted else {}
    return content | {sentence_pooling.KEY: pooling} if pooling else content
