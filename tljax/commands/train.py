"""Train: the experiment or the suite of a config, from pretrained weights to a run folder."""

from collections.abc import Sequence

from tljax import cli


def main(arguments: Sequence[str]) -> None:
    """`tljax train [CONFIG | --config CONFIG[:ROW]] [--config.KEY=VALUE ...] [--workdir FOLDER]`.

    CONFIG is a Python file with get_config(), or the name of a config that comes with tljax. The same as `main.py`.

    Raises:
      TljaxError: the command line, the config, data or weights do not fit.
    """
    words = list(arguments)
    if words and not words[0].startswith("-"):
        words[:1] = ["--config", words[0]]
    cli.train(words)
