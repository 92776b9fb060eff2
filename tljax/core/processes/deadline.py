"""The time at which a run must end; several processes end at the same step, when process 0's clock says so."""

import dataclasses
import math
import time

from tljax.core import signals
from tljax.core.processes import agreement


@dataclasses.dataclass
class Deadline:
    """`at`: of `time.monotonic`."""

    at: float = math.inf

    def passed(self) -> bool:
        """Whether it has passed; all processes of a run must ask after the same steps."""
        passed = time.monotonic() > self.at
        if agreement.count() == 1:
            return passed
        if passed and agreement.first():
            self.at = math.inf  # it is said once
            signals.wish_end()
        return signals.time_is_up()
