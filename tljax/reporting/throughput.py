"""Throughput: examples and tokens per second, and the share of padding."""

from tljax.core.types import Batch, Record


def places(batch: Batch) -> tuple[int, int]:
    """(tokens, tokens and padding) in a batch of texts; (0, 0) for other batches."""
    tokens = batch.get("tokens")
    return (0, 0) if tokens is None else (int(tokens.sum()), int(tokens.size))


def summary(examples: int, seconds: float, tokens: int, filled: int) -> dict[str, float]:
    """Examples, and tokens, per second of training; evaluations in between count as training time.

    Args:
      tokens: the first sum of `places` over all batches: tokens.
      filled: the second: places. Where it is above 0, there are also "tokens_s" and "padding", the share of the
        places that held no token.
    """
    if not (examples and seconds):
        return {}
    speed = {"examples_s": examples / seconds}
    return speed | ({"tokens_s": tokens / seconds} if filled else {}) | padding(tokens, filled)


def padding(tokens: int, filled: int) -> dict[str, float]:
    """The share of padding; {} if there are no texts. See `summary`."""
    return {"padding": 1 - tokens / filled} if filled else {}


def line(found: Record, cut: dict[str, int]) -> str:
    """A summary as a line for the user, with the number of cut texts in each part."""
    shown = {"examples_s": "{:,.1f} examples/s", "tokens_s": "{:,.0f} tokens/s", "padding": "{:.1%} padding"}
    said = [form.format(found[key]) for key, form in shown.items() if key in found]
    if any(cut.values()):
        said.append("texts cut: " + ", ".join(f"{number:,} of {part}" for part, number in cut.items()))
    return f"throughput: {', '.join(said)}" if said else ""
