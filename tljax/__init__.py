"""tljax: transfer learning in JAX and Flax. `run = tljax.train("My pictures")`, `tljax.load(folder).predict(paths)`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # jax is imported when something is asked for
    from tljax.runs.loaded import Loaded

__version__ = "0.1.0"
__all__ = ["__version__", "load", "train"]


def train(what: Path | str, *, workdir: Path | str | None = None, **keys: object) -> "Loaded":
    """`tljax train WHAT`, the same function: a folder, a table or a config; an existing run goes on, or is its result.

    Args:
      workdir: the run's folder; default runs/<name>.
      keys: flags by their names (lr, epochs, weights, minutes, label ...), or keys of the config with "__" for points
        (data__flip=True).

    Raises:
      TljaxError: what the command line would say.
    """
    from tljax import cli
    from tljax.given.flags import SHORT
    from tljax.runs.loaded import Loaded

    flags = [f"--{key}" if key in SHORT else f"--config.{key.replace('__', '.')}" for key in keys]
    words = [f"{flag}={value}" for flag, value in zip(flags, keys.values(), strict=True)]
    return Loaded(cli.train([str(what), *words, *([f"--workdir={workdir}"] if workdir else [])]))


def load(run: Path | str) -> "Loaded":
    """A finished run, to ask: `load("runs/My-pictures").predict(["1.jpg", "folder of more"])`.

    Raises:
      TljaxError: there is no such run.
    """
    from tljax.runs.loaded import Loaded

    return Loaded(run)
