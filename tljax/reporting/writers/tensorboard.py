"""TensorBoard: an event file of scalars in the run folder, written without a thread that would outlive a full disk."""

import contextlib
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tljax.core.untrusted import Json
from tljax.reporting.writer import About, final

FLUSHED_EVERY = 30.0  # seconds


class Events:
    """One file of scalars; entries of the folder's other files at `step` and later are not shown any more."""

    def __init__(self, folder: Path, *, step: int) -> None:
        # Imported here, because it takes 1.5 s, and faults of the input must be reported first.
        from tensorboardX.proto.event_pb2 import SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.record_writer import RecordWriter

        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{time.monotonic_ns()}"
        self._records, self._flushed = RecordWriter(str(folder / name)), time.monotonic()
        self._write(step=0, file_version="brain.Event:2")
        self._write(step=step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """A point for each value, "train/loss" and so on."""
        for name, value in values.items():
            self.scalar(f"{part}/{name}", value, step)

    def finish(self, result: Json) -> None:
        """A point for each number of result.json, "final test/accuracy" and so on."""
        for part, values in final(result).items():
            self.scalars(result["step"], part, values)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Write one value; OSError if the disk is full."""
        from tensorboardX.summary import scalar

        self._write(step=step, summary=scalar(name, value))
        if time.monotonic() - self._flushed > FLUSHED_EVERY:
            self._records.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """A full disk is ignored here: the next writing reports it."""
        with contextlib.suppress(OSError):
            self._records.close()

    def _write(self, **what: object) -> None:
        from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

        self._records.write(Event(wall_time=time.time(), **what).SerializeToString())


def start(about: About) -> Events:
    """A file from `about.step` on."""
    return Events(about.folder, step=about.step + 1)
