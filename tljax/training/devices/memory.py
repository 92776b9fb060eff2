"""The memory that XLA plans for a compiled program, and whether the devices have it."""

from collections.abc import Mapping
from typing import NamedTuple

import jax

from tljax.core.errors import SMALLER, DeviceError
from tljax.core.types import Tree


class Plan(NamedTuple):
    """Bytes on each device that a program needs."""

    arguments: int = 0  # the state and the batch
    outputs: int = 0  # those that take no place of an argument
    temporary: int = 0  # activations, gradients

    @property
    def total(self) -> int:
        return sum(self)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {mebibytes(size)}" for name, size in self._asdict().items())
        return f"{mebibytes(self.total)} MiB on each device ({parts})"


def plan(compiled: Tree) -> Plan:
    """What XLA plans for a compiled program."""
    analysis = compiled.memory_analysis()
    outputs = max(analysis.output_size_in_bytes - analysis.alias_size_in_bytes, 0)
    return Plan(analysis.argument_size_in_bytes, outputs, analysis.temp_size_in_bytes)


def limit() -> int:
    """Bytes that a device of this process has for arrays; 0 where it does not say, as a CPU."""
    return min((stats.get("bytes_limit", 0) for stats in _stats()), default=0)


def check(planned: Plan) -> None:
    """Raise DeviceError if a program does not fit into memory; its arguments are on the devices already."""
    more = planned.outputs + planned.temporary
    for stats in _stats():
        if "bytes_limit" in stats and more > (free := stats["bytes_limit"] - stats.get("bytes_in_use", 0)):
            raise DeviceError(
                f"What is computed must fit into a device's memory, and does not: it needs {planned}; beside what is "
                f"there already {mebibytes(free)} of {mebibytes(stats['bytes_limit'])} MiB are free. {SMALLER}"
            )


def mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f}"


def _stats() -> list[Mapping[str, int]]:
    """What each device of this process says of its memory; those that say nothing are left out."""
    return [stats for device in jax.local_devices() if (stats := device.memory_stats())]
