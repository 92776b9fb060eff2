"""Facts about this machine: for a run's env.json, and for `tljax doctor` with advice if something is wrong."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tljax.core import caches, memory
from tljax.core.errors import TljaxError
from tljax.core.types import Record

LEAST_DISK = 2 * 2**30  # free bytes that a run should have, for checkpoints, features and programs
LEAST_MEMORY = 2 * 2**30
# extra -> (the package that is searched, its use)
EXTRAS = {
    "onnx": ("onnxruntime", "tljax export --to=onnx"),
    "torch": ("torch", "weights in .pth files"),
    "prepare": ("tensorflow", "preparing TFDS data sets"),
    "wandb": ("wandb", "config.writers=wandb"),
    "mlflow": ("mlflow", "config.writers=mlflow"),
    "trackio": ("trackio", "config.writers=trackio"),
}


PACKAGES = ("tljax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml_collections")


def devices() -> str:
    """The number and the kind of the devices that JAX computes on."""
    import jax

    device = jax.devices()[0]
    return f"{jax.device_count()} x {device.device_kind} ({device.platform})"


def environment() -> Record:
    """What a run ran on, for env.json."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "devices": devices(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


class Line(NamedTuple):
    """The result of one check."""

    what: str
    found: str
    advice: str = ""  # what to do; "": all is well
    needed: bool = True  # whether tljax cannot work without it


def look() -> Iterator[Line]:
    """All checks, most important first; a check that fails gives a line, not an error."""
    for check in (_versions, _extras, _devices, _memory, _disk, _caches, _weights):
        try:
            yield from check()
        except (TljaxError, OSError) as error:
            yield Line(check.__name__.strip("_"), "cannot be looked at", str(error))


def _versions() -> Iterator[Line]:
    """Python and the packages that pyproject.toml requires."""
    from packaging.requirements import Requirement

    yield Line("python", f"{platform.python_version()} ({sys.executable})")
    requirements = [Requirement(text) for text in importlib.metadata.requires("tljax") or ()]
    requirements = [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    yield Line("tljax", importlib.metadata.version("tljax"))
    wrong = 0
    for one in requirements:
        version = _installed(one.name)
        if version and one.specifier.contains(version, prereleases=True):
            continue
        wrong += 1
        yield Line(one.name, version or "not installed", f"pip install '{one.name}{one.specifier}'")
    shown = ", ".join(f"{name} {_installed(name)}" for name in ("jax", "jaxlib", "flax", "optax", "numpy"))
    yield Line("packages", f"{len(requirements) - wrong} of {len(requirements)} as tljax wants them; {shown}")
    if _installed("jax") != _installed("jaxlib"):
        yield Line("jaxlib", str(_installed("jaxlib")), f"pip install jaxlib=={_installed('jax')}, as jax is")


def _installed(name: str) -> str:
    """A package's version; "" if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _extras() -> Iterator[Line]:
    there = [f"{extra} ({_installed(package)})" for extra, (package, _) in EXTRAS.items() if _installed(package)]
    lacking = [f"{use} needs tljax[{extra}]" for extra, (package, use) in EXTRAS.items() if not _installed(package)]
    yield Line("extras", ", ".join(there) or "none", "; ".join(lacking), needed=False)


def _devices() -> Iterator[Line]:
    """The devices of JAX, tested by one sum."""
    import jax
    import jax.numpy as jnp

    try:
        devices = jax.devices()
        right = int(jnp.arange(10).sum()) == 45
    except RuntimeError as error:
        yield Line("devices", "JAX cannot compute", f"{str(error).splitlines()[0]}; set JAX_PLATFORMS=cpu to go on")
        return
    kinds = ", ".join(dict.fromkeys(f"{one.device_kind} ({one.platform})" for one in devices))
    unused = devices[0].platform == "cpu" and shutil.which("nvidia-smi") is not None
    advice = "a GPU of NVIDIA seems to be here, and JAX does not use it: pip install 'jax[cuda12]'" if unused else ""
    yield Line("devices", f"{len(devices)} x {kinds}", advice if right else "1 + ... + 9 is wrong: replace jaxlib")
    yield Line("processors", f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}")


def _memory() -> Iterator[Line]:
    free = memory.available()
    if free:
        advice = "" if free > LEAST_MEMORY else "end other programs, or set config.data.in_memory=false"
        yield Line("memory", f"{free / 2**30:.1f} GiB free", advice)


def _disk() -> Iterator[Line]:
    for label, place in (("disk, runs", Path.cwd()), ("disk, caches", caches.folder("xla"))):
        near = next(one for one in (place, *place.parents) if one.exists())
        free = shutil.disk_usage(near).free
        advice = "" if free > LEAST_DISK else "make room, or begin in another folder"
        advice = advice if os.access(near, os.W_OK) else f"'{near}' takes no files: begin in a folder of yours"
        yield Line(label, f"{free / 2**30:.1f} GiB free at {near}", advice)


def _caches() -> Iterator[Line]:
    sizes = caches.sizes()
    total, most = sum(size.bytes for size in sizes.values()), caches.limit()
    each = ", ".join(f"{kind} {size.bytes / 2**20:,.1f} MiB in {size.entries:,}" for kind, size in sizes.items())
    advice = "" if total <= most else "more than $TLJAX_CACHE_GIB: tljax clean"
    yield Line("caches", f"{caches.folder('xla').parent}: {each}; at most {most / 2**30:g} GiB", advice)


def _weights() -> Iterator[Line]:
    """The places where weights are searched without a network, and their content."""
    from tljax.weights import cards

    named = os.environ.get("TLJAX_WEIGHTS", "")
    if not named:
        yield Line("weights", "$TLJAX_WEIGHTS is not set", "name a folder of weights with cards by it", needed=False)
    elif not (folder := Path(named).expanduser()).is_dir():
        yield Line("weights", f"$TLJAX_WEIGHTS is '{named}'", "that is no folder: name one, or unset it")
    else:
        files = [file for file in sorted(folder.rglob("*")) if file.suffix in (".safetensors", ".npz", ".pth")]
        bare = [file.name for file in files if cards.beside(file) is None]
        names = ", ".join(file.stem for file in files[:8]) + (" ..." if files[8:] else "")
        yield Line(
            "weights",
            f"{len(files)} files in {folder}: {names}",
            f"no card beside {', '.join(bare)}" if bare else "",
            needed=False,
        )
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface") / "hub")
    repositories = sorted(hub.expanduser().glob("models--*"))
    names = ", ".join(re.sub("^models--", "", one.name).replace("--", "/") for one in repositories[:8])
    yield Line("hub", f"{len(repositories)} repositories in {hub}" + (f": {names}" if names else ""))
