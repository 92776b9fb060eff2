"""Four fake CPU devices, strict jax, and the real data where they are."""

import gc
import importlib.util
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Much of the suite's time is compiling. LLVM leaves out its optimisations, and XLA writes the code of a program in one
# piece, and fusions by its older emitters (jaxlib 0.10 has them), which takes less. What is fused stays the same. Flags
# of the environment come last and win: `make parity` compiles as users do.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0 "
    "--xla_cpu_parallel_codegen_split_count=1 "
    f"{'--xla_cpu_use_fusion_emitters=false' if version('jaxlib').startswith('0.10.') else ''} "
    f"{os.environ.get('XLA_FLAGS', '')}"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

from tljax.cli import keep_compiled
from tljax.core.atomic import make_folder
from tljax.reporting import figures
from tljax.runs.pages import drawing

jax.config.update("jax_numpy_rank_promotion", "raise")
keep_compiled()

# Runs wait for the disk at every save, half of the time of a test that saves often. Memory does not make them wait.
MEMORY, ROOM = Path("/dev/shm"), 6 * 2**30
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
gc.set_threshold(10_000)  # tracing makes many small objects: a tenth of the suite's time was spent looking through them

SHARED = Path(os.environ.get("TLJAX_SHARED", Path(__file__).parents[2] / "shared"))
LONG = ("runs", "training", "commands", "tasks")  # the rooms whose files take longest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: begun last, one of them keeps one worker busy while the other has nothing to do."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights: $TLJAX_SHARED, or `shared` beside the repository."""
    folder = SHARED
    if not folder.is_dir():
        pytest.skip(f"the real data and weights are not here ({folder}); set TLJAX_SHARED")
    return folder


@pytest.fixture(autouse=True)
def _torchvision(request: pytest.FixtureRequest) -> None:
    """transformers imports torchvision with each network, where it is installed."""
    if request.node.get_closest_marker("parity") and importlib.util.find_spec("torch"):
        from reference import torch_vision

        torch_vision.declare()


@pytest.fixture(autouse=True)
def _unrendered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are built, and their files are empty but in tests marked `renders`: it takes as long as a small run."""

    def save(figure: Any, file: Path) -> None:
        make_folder(file.parent)
        file.write_bytes(b"")
        figures.plt.close(figure)

    if not request.node.get_closest_marker("renders"):
        monkeypatch.setattr(figures, "_save", save)


@pytest.fixture(autouse=True)
def _no_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs draw no page but in tests marked `page`: it takes as long as a small run."""
    if not request.node.get_closest_marker("page"):
        monkeypatch.setattr(drawing, "draw", lambda *_: None)
