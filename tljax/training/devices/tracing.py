"""A trace of some steps, as jax.profiler records it: config.profile, --profile START:STOP."""

from collections.abc import Callable
from pathlib import Path

import jax

from tljax.core.atomic import writing
from tljax.core.errors import ConfigError
from tljax.core.types import Tree

FOLDER = "profile"  # in the run's folder


def asked(steps: str) -> tuple[int, int]:
    """The first and the last step of "START:STOP", which count from 1; (0, 0) of ""."""
    first, last = steps.split(":") if steps else ("0", "0")
    return int(first), int(last)


def check(steps: str, number: int) -> None:
    """Raise ConfigError if the steps are not all in a run of `number` steps."""
    if asked(steps)[1] > number:
        raise ConfigError(
            f"--profile={steps}: the steps must be in the run, which has {number:,} (they count from 1). Steps after "
            f"the third, such as 5:7, show what each of the others takes."
        )


class Trace:
    """Records the steps that are asked for; the run's result is the same."""

    def __init__(self, steps: str, folder: Path, say: Callable[[str], None]) -> None:
        """`steps`: "" records nothing."""
        (self._first, self._last), self._folder, self._say = asked(steps), folder / FOLDER, say
        self._on = False

    def begun(self, step: int) -> None:
        """Training goes on after `step`."""
        if 0 < self._last <= step:
            self._say(f"profile: steps {self._first} to {self._last} were taken before: they are not recorded again")

    def before(self, step: int) -> None:
        """Take note that this step comes next."""
        if self._first <= step <= self._last and not self._on:
            with writing(self._folder):
                jax.profiler.start_trace(str(self._folder))
            self._on = True

    def after(self, step: int, state: Tree) -> None:
        """Take note that this step was given to the devices."""
        if self._on and step >= self._last:
            jax.block_until_ready(state)
            self.close()

    def close(self) -> None:
        """End a trace that is being recorded, also that of a run which ends before its last step."""
        if self._on:
            self._on = False
            with writing(self._folder):
                jax.profiler.stop_trace()
            self._say(f"profile: {self._folder}; to look at it: pip install xprof, xprof --logdir={self._folder}")
