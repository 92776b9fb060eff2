"""What a folder of sentence-transformers says of its texts: how they are pooled, and what stands before each.

`modules.json` names the module of the pooling. The config.json of this module says which kind of pooling it is. The
prompts are in another file.
"""

from pathlib import Path

from tljax.core.errors import WeightsError
from tljax.core.types import Json
from tljax.weights import cards

KEY = "sentence pooling"  # the key of the result of `read` in the network's config
MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
CONFIG = "config.json"  # in the folder of a module
# The name of a pooling there -> our name, without and with a module that divides by the length.
MODES = {
    "pooling_mode_cls_token": ("class", "class_normalised"),
    "pooling_mode_mean_tokens": ("mean", "normalised"),
}
AFTER = ([], ["Normalize"])  # the modules after the pooling that are built here


def read(folder: Path, *, prompts: bool = True) -> dict[str, str]:
    """{"pooling": one of `encoder.POOLINGS`, "" if it is another one; "said": the text of the files; "prefix": what
    stands before every text; "prompts": all prompts as a text}; {} if there are no files.

    Args:
      prompts: whether the file of prompts may be read.

    Raises:
      WeightsError: a file is damaged.
    """
    modules = cards.load_list(folder / MODULES) if (folder / MODULES).is_file() else []
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if "Pooling" not in kinds:
        return {}
    known, prefix = _prompts(folder / PROMPTS) if prompts and (folder / PROMPTS).is_file() else ({}, "")
    facts = {"prefix": prefix, "prompts": ", ".join(f"{name} {text!r}" for name, text in known.items() if text)}
    place = str(modules[kinds.index("Pooling")].get("path", ""))
    if not (folder / place / CONFIG).is_file():
        return {"pooling": "", "said": f"{MODULES} names {place}/{CONFIG}, which does not exist", **facts}
    config = cards.load(folder / place / CONFIG)
    asked, after = modes(config), kinds[kinds.index("Pooling") + 1 :]
    if config.get("include_prompt") is False and facts["prompts"]:
        after = ["without the prompt's tokens", *after]
    fits = len(asked) == 1 and asked[0] in MODES and after in AFTER
    pooling = MODES[asked[0]][AFTER.index(after)] if fits else ""
    return {"pooling": pooling, "said": f"{place}/{CONFIG} and {MODULES}: {', '.join([*asked, *after])}", **facts}


def modes(config: Json) -> list[str]:
    """The names of the poolings that are on in a module's config."""
    return sorted(key for key, value in config.items() if key.startswith("pooling_mode_") and value is True)


def _prompts(file: Path) -> tuple[dict[str, str], str]:
    """Name -> text of every prompt, and the text of the default one; "" if there is none."""
    content = cards.load(file)
    known, default = content.get("prompts") or {}, content.get("default_prompt_name")
    if not isinstance(known, dict) or not all(isinstance(text, str) for text in known.values()):
        raise WeightsError(f"'{file}' must hold a text for each name under \"prompts\"; got {known!r:.80}.")
    if default is not None and (not isinstance(default, str) or default not in known):
        raise WeightsError(
            f"'{file}' must name one of its prompts ({', '.join(known) or 'it has none'}) under "
            f'"default_prompt_name"; got {default!r:.80}.'
        )
    return known, known[default] if default else ""
