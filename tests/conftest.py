"""Four fake CPU devices, strict jax, and the real data where they are."""

import importlib.util
import os
from pathlib import Path

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

from tljax.cli import keep_compiled

jax.config.update("jax_numpy_rank_promotion", "raise")
keep_compiled()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights: $TLJAX_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("TLJAX_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the real data and weights are not here ({folder}); set TLJAX_SHARED")
    return folder


@pytest.fixture(autouse=True)
def _torchvision(request: pytest.FixtureRequest) -> None:
    """transformers imports torchvision with each network, where it is installed."""
    if request.node.get_closest_marker("parity") and importlib.util.find_spec("torch"):
        from reference import torch_vision

        torch_vision.declare()
