"""The card of a finished run for people: README.md in model/, of what was measured and nothing else."""

from pathlib import Path

from tljax.core.atomic import read_json, write
from tljax.core.untrusted import Json, printable
from tljax.reporting import significance

FILE = "README.md"
LISTED = 50  # classes that are named


def save(folder: Path, result: Json) -> None:
    """Write README.md into model/ of the run in `folder`. `result` is what it has measured, as in result.json."""
    config = read_json(folder / "config.json")
    model, card = (read_json(folder / "model" / name) for name in ("model.json", "card.json"))
    write(folder / "model" / FILE, text(result, config, model, card))


def text(result: Json, config: Json, model: Json, card: Json) -> str:
    """The card, in Markdown: what the network does, how good it is on what, from what it was made, how to ask it."""
    classes, best = model["classes"], result["metric"]
    named = ", ".join(classes[:LISTED]) + (f" and {len(classes) - LISTED} more" if len(classes) > LISTED else "")
    variant = model["variant"] if isinstance(model["variant"], str) else "of sizes of its own"
    started = model["started_from"] or "random weights"
    licence = f"; their licence: {card['licence'] or 'not stated'}" if model["started_from"] else ""
    names = _metrics(result)
    lines = [
        f"# {model['family']} {variant}: {model['task']}",
        "",
        f"{len(classes)} {'numbers' if model['task'] == 'regression' else 'classes'}: {named}.",
        "",
        "## How good it is",
        f"Measured once by the run that made it (seed {result['seed']}); {best} is the metric that counts.",
        "",
        f"| {' | '.join(('part', 'examples', *names))} |",
        f"| {' | '.join('---' for _ in ('part', 'examples', *names))} |",
        *(_row(part, values, names) for part, values in result["metrics"].items()),
        "",
        "What it does on other data was not measured: `tljax evaluate RUN DATA` does. Of bias, safety and fitness for "
        "a purpose nothing is known.",
        "",
        "## What it was made from",
        f"- weights at the start: {started}{licence}",
        f"- data: {config['data']['source']}, {', '.join(f'{n:,} {part}' for part, n in result['counts'].items())}",
        f"- strategy: {result.get('chosen_strategy', result['strategy'])}; {result['parameters']['trainable']:,} of "
        f"{result['parameters']['total']:,} parameters learned, in {result['step']:,} updates and "
        f"{result['seconds']['total']:.0f} s",
        *([f"- temperature of its probabilities: {model['temperature']:.4g}"] if "temperature" in model else []),
        "",
        "## How to ask it",
        "```",
        "tljax predict RUN PICTURES" if "size" in model["input"] else 'tljax predict RUN "a text"',
        "tljax export RUN --to=safetensors-torch",
        "```",
    ]
    return printable("\n".join(lines)) + "\n"


def _metrics(result: Json) -> list[str]:
    names = dict.fromkeys(name for values in result["metrics"].values() for name in values)
    return [name for name in names if name not in ("examples", *significance.ends(result["metric"]))]


def _row(part: str, values: Json, names: list[str]) -> str:
    """A part's numbers; of a part that was not learned from with 95 % intervals."""
    cells = [part, f"{values['examples']:,}"]
    for name in names:
        value: float | None = values.get(name)
        if value is None:
            cells.append("-")
            continue
        ends = significance.of_part(name, values) if part != "train" else None
        between = f" (95 %: {ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        cells.append(f"{value:.4f}{between}")
    return f"| {' | '.join(cells)} |"
