"""How fast a run learned, and how much of what it computed was padding."""

from typing import Any

from tljax.core.types import Batch


def places(batch: Batch) -> tuple[int, int]:
    """(tokens, places for them) in a batch of texts; (0, 0) of anything else."""
    tokens = batch.get("tokens")
    return (0, 0) if tokens is None else (int(tokens.sum()), int(tokens.size))


def summary(examples: int, seconds: float, tokens: int, filled: int) -> dict[str, float]:
    """Examples, and tokens, per second of training; what was evaluated in between counts as training.

    Args:
      tokens: the first sum of `places` over all batches: tokens.
      filled: the second: places. Where it is above 0, there are also "tokens_s" and "padding", the share of the
        places that held no token.
    """
    if not (examples and seconds):
        return {}
    found = {"examples_s": examples / seconds}
    return found | ({"tokens_s": tokens / seconds} if filled else {}) | padding(tokens, filled)


def padding(tokens: int, filled: int) -> dict[str, float]:
    """The share of the places that held no token; nothing where there are none. See `summary`."""
    return {"padding": 1 - tokens / filled} if filled else {}


def line(found: dict[str, Any], cut: dict[str, int]) -> str:
    """What people read of a summary, and of how many texts were cut in each part."""
    shown = {"examples_s": "{:,.1f} examples/s", "tokens_s": "{:,.0f} tokens/s", "padding": "{:.1%} padding"}
    said = [form.format(found[key]) for key, form in shown.items() if key in found]
    if any(cut.values()):
        said.append("texts cut: " + ", ".join(f"{number:,} of {part}" for part, number in cut.items()))
    return f"throughput: {', '.join(said)}" if said else ""
