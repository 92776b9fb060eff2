"""trackio: metrics in its local database, which `trackio show` draws. $TRACKIO_PROJECT names the project."""

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tljax.core.untrusted import Json
from tljax.reporting.writer import About, final, named


class Trackio:
    """One run of trackio, known by its name; a resumed run continues it."""

    def __init__(self, trackio: ModuleType) -> None:
        self._trackio = trackio

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """Metrics "train/loss" and so on."""
        self._trackio.log(named(part, values), step=step)

    def finish(self, result: Json) -> None:
        """Metrics "final test/accuracy" and so on."""
        for part, values in final(result).items():
            self.scalars(result["step"], part, values)

    def close(self) -> None:
        """End the run."""
        self._trackio.finish()


def load() -> Any:
    """The package; ImportError if it is not installed."""
    import trackio  # pyright: ignore[reportMissingImports]

    return trackio


def start(about: About) -> Trackio:
    """A new run; or, after `about.step` updates, the run of this name."""
    trackio = load()
    trackio.init(
        project=os.environ.get("TRACKIO_PROJECT", "tljax"),
        name=about.name,
        config=dict(about.config),
        resume="allow" if about.step else "never",
    )
    return Trackio(trackio)
