"""Processes that are killed, without the seconds that importing takes: each is a fork of one that has imported all.

`python -m tests.faults.zygote` reads a line of JSON, {"arguments", "folder", "after", "log", "step", "signal"}, forks a
process that runs `tljax ARGUMENTS` there, sends it the signal after so many seconds (null: never) or when this log has
this step, and answers a line of JSON, {"code", "seconds", "said", "took"}: negative codes are signals; `took` is how
long it lived after the signal.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tljax.core import caches

ROOT = Path(__file__).parents[2]


class Zygote:
    """The process that forks; `run` asks it for one.

    Compiled programs are kept beside the user's other caches: in a cache of its own, for every start looks through all.
    """

    def __init__(self, **environment: str) -> None:
        flags = os.environ.get("XLA_FLAGS", "")
        environment.setdefault("TLJAX_CACHE", str(caches.folder("killed")))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        arguments: list[str],
        folder: Path,
        *,
        after: float | None = None,
        log: str = "",
        step: int = 0,
        number: int = signal.SIGKILL,
    ) -> dict[str, Any]:
        asked = {"arguments": arguments, "folder": str(folder), "after": after, "log": log, "step": step}
        asked["signal"] = int(number)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def child(asked: dict[str, Any]) -> None:
    """Run `tljax`, its output in a file, and end; no exception goes on into the loop below."""
    os.chdir(asked["folder"])
    for stream in (1, 2):
        os.dup2(os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    code = 99
    try:
        from tljax import __main__

        code = __main__.main(asked["arguments"])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    imported()
    for line in sys.stdin:
        asked, began, sent = json.loads(line), time.monotonic(), None
        said = Path(asked["folder"]) / "said.txt"
        said.unlink(missing_ok=True)
        if not (number := os.fork()):
            child(asked)
        while True:
            done, status = os.waitpid(number, os.WNOHANG)
            if done:
                break
            if sent is None and is_time(asked, time.monotonic() - began):
                sent = time.monotonic()
                os.kill(number, asked["signal"])
            time.sleep(0.002)
        now = time.monotonic()
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": now - began,
            "took": now - sent if sent else None,
            "said": said.read_text(errors="replace") if said.exists() else "",
        }
        print(json.dumps(answer), flush=True)


def is_time(asked: dict[str, Any], seconds: float) -> bool:
    """Whether the signal is due."""
    if asked["step"]:
        return last_step(Path(asked["folder"]) / asked["log"]) >= asked["step"]
    return asked["after"] is not None and seconds > asked["after"]


def last_step(log: Path) -> int:
    """The last step of a whole line of the log; 0 before the first."""
    whole = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    return max((json.loads(line)["step"] for line in whole if line.endswith("\n")), default=0)


def imported() -> None:
    """What a run imports, and nothing of it begun: threads and devices do not survive a fork."""
    import orbax.checkpoint  # noqa: F401
    import sklearn.metrics  # noqa: F401

    from tljax.core import plugins
    from tljax.reporting import figures
    from tljax.runs import run, suite  # noqa: F401

    for kind in ("strategies", "tasks", "sources", "inputs", "families"):
        for name in plugins.available(kind):
            plugins.find(kind, name)
    figures._save = lambda figure, file: figures.plt.close(figure)


if __name__ == "__main__":
    main()
