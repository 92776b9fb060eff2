"""The errors that a user can cause, each with a fixed exit code for scripts.

A message says what must hold, what was got, all the names, and what to do next.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, overload

One = TypeVar("One")
Other = TypeVar("Other")
Third = TypeVar("Third")


class TljaxError(Exception):
    """Something outside the code is wrong; `main` prints the message and exits with `code`.

    This class itself has code 1: training or an evaluation gave numbers that are not finite.
    """

    code = 1


class ConfigError(TljaxError):
    """A key, a type or a value of the config does not fit."""

    code = 2


class DataError(TljaxError):
    """Examples are missing, unreadable or contradict each other."""

    code = 3


class WeightsError(TljaxError):
    """Pretrained weights or a checkpoint are missing, damaged or of another architecture."""

    code = 4


class DeviceError(TljaxError):
    """The computation does not fit into memory, or there is no such device."""

    code = 5


SMALLER = (
    "Lower config.train.batch_size or config.train.eval_batch_size, set config.optimizer.accumulate to 2, 4, ... "
    "(micro-batches), config.model.remat=all, config.mesh.fsdp (a state divided over devices), or "
    "config.data.in_memory=false."
)
NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "Unable to allocate", "failed to allocate")
NO_DEVICE = ("Unable to initialize backend", "No visible", "no supported devices found", "No jellyfish device found")


def of_device(error: BaseException) -> DeviceError | None:
    """What to say where a device, or the memory, has failed; None where that is not what happened."""
    text = str(error).strip()
    if isinstance(error, MemoryError) or any(sign in text for sign in NO_MEMORY):
        reason = text.splitlines()[0][:300] if text else "there is no more"
        return DeviceError(f"What is computed must fit into memory, and does not: {reason}. {SMALLER}")
    if any(sign in text for sign in NO_DEVICE):
        return DeviceError(
            f"jax must find the devices that it is to use; it does not: {text.splitlines()[0][:300]}. Unset "
            f"JAX_PLATFORMS, or install the jax of that device: pip install 'jax[cuda12]' or 'jax[tpu]'."
        )
    return None


@overload
def gather(one: Callable[[], One], other: Callable[[], Other], /) -> tuple[One, Other]: ...
@overload
def gather(
    one: Callable[[], One], other: Callable[[], Other], third: Callable[[], Third], /
) -> tuple[One, Other, Third]: ...
@overload
def gather(*steps: Callable[[], One]) -> Sequence[One]: ...
def gather(*steps: Callable[[], object]) -> Sequence[object]:
    """Run every step in a thread of its own, and return the results; failures are reported together.

    Raises:
      TljaxError: the only failure itself, or one error with all messages and the code of the first failure.
    """
    with ThreadPoolExecutor(len(steps)) as pool:
        futures = [pool.submit(step) for step in steps]
    failures = [error for future in futures if (error := future.exception()) is not None]
    unknown = [error for error in failures if not isinstance(error, TljaxError)]
    if unknown or len(set(map(str, failures))) == 1:
        raise (unknown or failures)[0]
    if failures:
        raise type(failures[0])("\n".join(dict.fromkeys(map(str, failures))))
    return tuple(future.result() for future in futures)
