"""The pooling of texts in a folder of sentence-transformers: `modules.json`, and the config of the module in it."""

from pathlib import Path

from tljax.core.types import Json
from tljax.weights import cards

KEY = "sentence pooling"  # the key of the result of `read` in the network's config
MODULES = "modules.json"
CONFIG = "config.json"  # in the folder of a module
# The name of a pooling there -> our name.
MODES = {"pooling_mode_cls_token": "class", "pooling_mode_mean_tokens": "mean"}


def read(folder: Path) -> dict[str, str]:
    """{"pooling": one of `encoder.POOLINGS`, "" if it is another one; "said": the text of the files}; {} if no files.

    Raises:
      WeightsError: a file is damaged.
    """
    modules = cards.load_list(folder / MODULES) if (folder / MODULES).is_file() else []
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if "Pooling" not in kinds:
        return {}
    place = str(modules[kinds.index("Pooling")].get("path", ""))
    if not (folder / place / CONFIG).is_file():
        return {"pooling": "", "said": f"{MODULES} names {place}/{CONFIG}, which does not exist"}
    asked = modes(cards.load(folder / place / CONFIG))
    after = kinds[kinds.index("Pooling") + 1 :]
    pooling = MODES.get(asked[0], "") if len(asked) == 1 else ""
    if after:
        pooling = "normalised" if (pooling, after) == ("mean", ["Normalize"]) else ""
    return {"pooling": pooling, "said": f"{place}/{CONFIG} and {MODULES}: {', '.join([*asked, *after])}"}


def modes(config: Json) -> list[str]:
    """The names of the poolings that are on in a module's config."""
    return sorted(key for key, value in config.items() if key.startswith("pooling_mode_") and value is True)
