"""How a folder of sentence-transformers makes one vector of a text: `modules.json`, and the pooling that it names."""

from pathlib import Path

from tljax.core.types import Json
from tljax.weights import cards

KEY = "sentence pooling"  # of what `read` found, beside the keys of the network's config
MODULES = "modules.json"
CONFIG = "config.json"  # in the folder of a module
# Its name for a pooling -> ours.
MODES = {"pooling_mode_cls_token": "class", "pooling_mode_mean_tokens": "mean"}


def read(folder: Path) -> dict[str, str]:
    """{"pooling": one of `encoder.POOLINGS`, "" where it is none of them; "said": what stands there}; {} for nothing.

    Raises:
      WeightsError: a file is damaged.
    """
    modules = cards.load_list(folder / MODULES) if (folder / MODULES).is_file() else []
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if "Pooling" not in kinds:
        return {}
    place = str(modules[kinds.index("Pooling")].get("path", ""))
    if not (folder / place / CONFIG).is_file():
        return {"pooling": "", "said": f"{MODULES} names {place}/{CONFIG}, which is not there"}
    asked = modes(cards.load(folder / place / CONFIG))
    after = kinds[kinds.index("Pooling") + 1 :]
    pooling = MODES.get(asked[0], "") if len(asked) == 1 else ""
    if after:
        pooling = "normalised" if (pooling, after) == ("mean", ["Normalize"]) else ""
    return {"pooling": pooling, "said": f"{place}/{CONFIG} and {MODULES}: {', '.join([*asked, *after])}"}


def modes(config: Json) -> list[str]:
    """The poolings that are set, by their names there."""
    return sorted(key for key, value in config.items() if key.startswith("pooling_mode_") and value is True)
