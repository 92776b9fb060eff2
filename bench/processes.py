"""Is a run of several processes the run of one? The training losses of a command, beside those of one process.

    python bench/processes.py --folder runs/same -- configs/digits.py --config.suite.only=first

What follows `--` is given to `tljax train` as it stands; losses are logged at every step. The command runs in one
process on 1, 2, 4 and 8 devices, then in 2 and 4 processes of 8 devices together: devices of the CPU, on this machine.
A run of several processes is compared with the run of one process that is nearest to it. The other rows say how far
runs of one process are from the run on 8 devices: the order of a float32 sum differs, and where a value is next to a
kink (ReLU, max-pooling), the gradient may fall on its other side.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEVICES = 8
BOUND = 1e-5


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def losses_of(command: list[str], folder: Path, *, devices: int, processes: int) -> list[float]:
    """The training losses of all runs of the command, in the order of their folders."""
    port, jobs = free_port(), []
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(processes):
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices // processes}",
        }
        words = [sys.executable, "-m", "tljax", "train", *command, "--config.train.log_steps=1"]
        words += ["--config.report=none", f"--workdir={folder / 'run'}"]
        words += [f"--distributed=127.0.0.1:{port},{index},{processes}"] if processes > 1 else []
        with (folder / f"process{index}.txt").open("w") as out:
            jobs.append(subprocess.Popen(words, env=environment, cwd=ROOT, stdout=out, stderr=out))
    codes = [job.wait() for job in jobs]
    if any(codes):
        raise SystemExit(f"The command failed: see {folder}/process*.txt")
    rows = [json.loads(line) for log in sorted(folder.rglob("metrics.jsonl")) for line in log.open()]
    return [row["loss"] for row in rows if row["part"] == "train"]


def difference(losses: list[float], others: list[float]) -> tuple[float, int]:
    """The largest difference, and the number of losses before the first one above `BOUND`."""
    apart = [abs(a - b) for a, b in zip(losses, others, strict=True)]
    return max(apart), next((i for i, value in enumerate(apart) if value > BOUND), len(apart))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the runs go; finished ones are not repeated")
    parser.add_argument("command", nargs="+", help="what `tljax train` is given, after --")
    asked = parser.parse_args()
    alone = {}
    for devices in (DEVICES, 1, 2, 4):
        folder = asked.folder / f"1_of_{devices}"
        alone[devices] = losses_of(asked.command, folder, devices=devices, processes=1)
        apart, steps = difference(alone[devices], alone[DEVICES])
        print(f"1 process, {devices} devices: {apart:.1e} from 8 devices, {steps} of {len(alone[devices])} within 1e-5")
    for processes in (2, 4):
        losses = losses_of(asked.command, asked.folder / f"{processes}", devices=DEVICES, processes=processes)
        by_devices = {devices: difference(losses, others) for devices, others in alone.items()}
        nearest = min(by_devices, key=lambda devices: by_devices[devices][0])
        apart, steps = by_devices[nearest]
        print(
            f"{processes} processes, {DEVICES} devices: {apart:.1e} from 1 process with {nearest}, {steps} of "
            f"{len(losses)} within 1e-5; {by_devices[DEVICES][0]:.1e} from 1 process with {DEVICES}"
        )


if __name__ == "__main__":
    main()
