"""env.json: on what a run computes, and what it computed on before it was resumed."""

from pathlib import Path

from tljax.core.atomic import read_json, write_json
from tljax.core.errors import DataError
from tljax.core.types import Json, Record
from tljax.reporting import machine

EARLIER = "earlier"  # what earlier starts computed on, if it was something else
ONE = ("python", "devices")


def write(folder: Path) -> list[str]:
    """Write env.json; returns a warning if the start before was with other versions or devices."""
    file, now = folder / "env.json", machine.environment()
    before = _stored(file)
    then, found = _flat(before), _flat(now)
    changes = [f"{name} {then[name]} -> {found[name]}" for name in found if then.get(name, found[name]) != found[name]]
    earlier = before.get(EARLIER, [])
    if changes:
        earlier = [*earlier, {name: before[name] for name in (*ONE, "packages") if name in before}]
    write_json(file, {**now, EARLIER: earlier} if earlier else now)
    said = (
        f"warning: since the last start of this run these have changed: {', '.join(changes)}. What it has computed is "
        f"kept; a run without a break might have ended with slightly different numbers (env.json lists both)"
    )
    return [said] if changes else []


def _stored(file: Path) -> Record:
    """The env.json of the start before; {} if there is none that can be read: nothing is computed from it."""
    try:
        found = read_json(file) if file.exists() else {}
    except DataError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get(EARLIER, []), list) else {}


def _flat(environment: Json) -> dict[str, str]:
    """Name -> version, and the devices."""
    packages = environment.get("packages")
    single = {name: environment[name] for name in ONE if name in environment}
    return {**single, **(packages if isinstance(packages, dict) else {})}
