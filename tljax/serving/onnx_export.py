"""A finished run's network as ONNX: written by jax2onnx, and good only once onnxruntime gives the network's answers."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE
from tljax.networks import ops, pooling
from tljax.serving.saved_model import Model

CLOSE = 1e-4  # of the largest logit: by how much float32 sums in another order may differ over a whole network
# jax2onnx asks for packages of its examples, and for an orbax-checkpoint older than ours: it needs neither here.
INSTALL = "pip install 'tljax[onnx]' && pip install --no-deps jax2onnx"
INSTEAD = (
    "Use --to=stablehlo, or --to=safetensors-torch: load that in torchvision, timm or transformers, and call "
    "torch.onnx.export there."
)


def write(model: Model, file: Path) -> None:
    """A program of a batch of any size, pictures (b, S, S, C) float32 as the network is given them, to logits (b, K).

    Raises:
      ConfigError: a run on texts, jax2onnx is missing, or it cannot write this network.
    """
    if "resize" not in model.input:
        raise ConfigError(f"--to=onnx holds networks of pictures; this one reads texts. {INSTEAD}")
    with _quiet():
        try:
            import jax2onnx  # pyright: ignore[reportMissingImports] -- an extra
            from jax2onnx.converter import conversion_api  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConfigError(f"--to=onnx needs jax2onnx and onnxruntime: {INSTALL}.") from error
        program = lambda pixels: model.network.apply(model.variables, pixels, EVALUATE)  # noqa: E731
        shapes = [jax.ShapeDtypeStruct(("B", *model.asked.example.shape[1:]), np.float32)]
        try:
            unoptimized = mock.patch.object(conversion_api, "optimize_graph", _as_it_is)
            with ops.plain(), pooling.pooled_by_slices(), unoptimized:
                found = jax2onnx.to_onnx(program, inputs=shapes, model_name="tljax")
        except Exception as error:  # what a converter does not know it says in its own ways
            raise ConfigError(
                f"--to=onnx: jax2onnx does not write this {model.family}: {type(error).__name__}: "
                f"{str(error).splitlines()[0]} {INSTEAD}"
            ) from error
    file.write_bytes(found.SerializeToString())


def check(model: Model, file: Path, images: Sequence[np.ndarray]) -> str:
    """Ask onnxruntime about pictures, as stored, one and all at once: by how much its logits differ, for people.

    Raises:
      ConfigError: they do not fit, or onnxruntime refuses the file.
    """
    with _quiet():
        try:
            import onnxruntime  # pyright: ignore[reportMissingImports] -- an extra
        except ImportError as error:
            raise ConfigError(f"--to=onnx needs jax2onnx and onnxruntime: {INSTALL}.") from error
        batch = np.stack(images)
        expected = np.asarray(jax.jit(model.logits)(model.variables, {"image": batch}))
        pixels = np.asarray(model.asked.prepare({"image": batch}, jax.random.key(0), False)["inputs"], np.float32)
        try:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
            name = session.get_inputs()[0].name
            found = [np.asarray(session.run(None, {name: some})[0]) for some in (pixels, pixels[:1])]
        except Exception as error:  # of onnxruntime's own classes
            raise ConfigError(
                f"--to=onnx: onnxruntime does not run what jax2onnx wrote of this {model.family}: "
                f"{str(error).splitlines()[0][:300]} {INSTEAD}"
            ) from error
    scale = float(np.abs(expected).max())
    pairs = list(zip(found, (expected, expected[:1]), strict=True))
    differs = max(float(np.abs(x - y).max()) if x.shape == y.shape else np.inf for x, y in pairs)
    if not differs <= CLOSE * scale:
        raise ConfigError(
            f"--to=onnx: the file must give the network's logits; of {len(batch)} pictures they differ by up to "
            f"{differs:.3g}, the largest being {scale:.3g}. It is not kept. {INSTEAD}"
        )
    return (
        f"onnxruntime {onnxruntime.__version__} gives the logits of {len(batch)} pictures; the largest difference is "
        f"{differs:.2g}, the largest logit {scale:.2g}"
    )


def _as_it_is(graph: Any) -> Any:
    """Replaces jax2onnx's optimizer. It moves transposes through the BatchNorm of a residual branch, and the vectors of
    BatchNorm are then on a wrong axis. onnxruntime does its own optimisation when it loads a file.
    """
    return graph


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """jax2onnx warns of each optional package of its examples that is not installed."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
