"""Train: on a folder or a table of your own, or a config's experiment or suite; to a run folder with the result."""

from collections.abc import Sequence

from tljax import cli


def main(arguments: Sequence[str]) -> None:
    """`tljax train [FOLDER | TABLE | CONFIG[:ROW]] [--lr 0.01 ...] [--config.KEY=VALUE ...] [--workdir FOLDER]`.

    For a FOLDER (class folders) or a TABLE (csv, tsv, jsonl, parquet) keys are chosen and printed. CONFIG is a Python
    file with get_config(), or the name of a config that comes with tljax. The same as `main.py`.

    Raises:
      TljaxError: the command line, the config, data or weights do not fit.
    """
    cli.train(arguments)
