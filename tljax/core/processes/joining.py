"""Coming together: `jax.distributed`, where a cluster is found or the command line says so."""

import dataclasses
import os
import sys
import warnings
from collections.abc import Mapping, MutableSequence

from tljax.core.errors import ConfigError
from tljax.core.processes import agreement, ending

# Environment variables of launchers that jax knows -> the variable that says how many processes the job has; "": none.
LAUNCHERS = {
    "SLURM_JOB_ID": "SLURM_STEP_NUM_TASKS",
    "OMPI_MCA_orte_hnp_uri": "OMPI_COMM_WORLD_SIZE",
    "MEGASCALE_COORDINATOR_ADDRESS": "",
    "TPU_WORKER_HOSTNAMES": "",
    "JOB_COMPLETION_INDEX": "",  # an indexed Job of Kubernetes
}
FLAG = "--distributed"
JOIN = 300  # seconds in which all processes must have come
HEARTBEAT = 20  # seconds after which a process that does not answer is taken for dead


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a process stands in a job; `None`: jax asks the launcher."""

    coordinator: str | None = None  # host:port of process 0
    index: int | None = None
    count: int | None = None
    join: int = JOIN
    heartbeat: int = HEARTBEAT


def join(arguments: MutableSequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Bring the processes of a job together, before anything touches a device. Takes its flag out of `arguments`.

    Raises:
      ConfigError: the flag cannot be read, or the other processes did not come.
    """
    place = placed(arguments, environment)
    if place is None:
        return
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from `signals`
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.count,
            place.index,
            initialization_timeout=place.join,
            heartbeat_timeout_seconds=10 * place.heartbeat,  # `ending` is sooner, and says which process it is
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"All processes of a job must come together within {place.join} s, and they did not: "
            f"{str(error).splitlines()[0]}. {FLAG} takes auto, or HOST:PORT,INDEX,COUNT "
            f"(of process 0, and of this one); {FLAG}=off where this process is alone."
        ) from error
    if agreement.count() > 1:
        ending.watch(place.heartbeat)
    if not agreement.first():  # all processes print the same lines: one of them is enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, until the process ends
        warnings.simplefilter("ignore")


def placed(arguments: MutableSequence[str], environment: Mapping[str, str]) -> Place | None:
    """Where this process stands; None where it is alone.

    `--distributed=HOST:PORT,INDEX,COUNT[,join=SECONDS][,heartbeat=SECONDS]`; `--distributed=auto` asks the launcher;
    `--distributed=off` leaves a launcher that was found alone.
    """
    position = next((i for i, word in enumerate(arguments) if word == FLAG or word.startswith(f"{FLAG}=")), None)
    if position is None:
        return Place() if launched(environment) else None
    word = arguments.pop(position)
    value = word.partition("=")[2] or "auto"
    if value == "off":
        return None
    if value == "auto":
        return Place()
    try:
        coordinator, index, count, *rest = value.split(",")
        place = Place(coordinator, int(index), int(count), **{k: int(v) for k, v in (one.split("=") for one in rest)})
        if not (coordinator.rpartition(":")[2].isdigit() and 0 <= int(index) < int(count)):
            raise ValueError(value)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{FLAG} must be auto, off, or HOST:PORT,INDEX,COUNT[,join=SECONDS][,heartbeat=SECONDS] with INDEX from 0 "
            f"below COUNT; got '{value}'."
        ) from error
    return place if place.count != 1 else None


def launched(environment: Mapping[str, str]) -> bool:
    """Whether a launcher that jax knows has started more than one process."""
    for variable, number in LAUNCHERS.items():
        if variable not in environment:
            continue
        if variable == "TPU_WORKER_HOSTNAMES":
            return "," in environment[variable]
        if not number or int(environment.get(number, "1") or 1) > 1:
            return True
    return False
