"""ResNet against torch, live: the written-out module and transformers' own, drawn and real weights."""

import itertools
import os
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image
from reference import draw, ours

from tljax.core.types import Card, Mode, Variables
from tljax.networks.families import resnet
from tljax.weights import placement
from tljax.weights.sources import file

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")
from reference import torch_resnet  # noqa: E402

STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")
SHARED = Path(os.environ.get("TLJAX_SHARED", Path(__file__).resolve().parents[3] / "shared"))
HUGGING_FACE = ("18", "34", "50", "101", "152")  # transformers has no wide one and no groups
SMALL = ("18", "34", "50")  # the others only repeat their blocks, but for groups
CARD = Card(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
TRAIN = Mode(train=True)


def written_out(variant: str, arrays: dict[str, np.ndarray], dtype: Any = None) -> Any:
    module = torch_resnet.ResNet(variant)
    load(module, arrays)
    return module.to(dtype or torch.float32).eval()


def hugging_face(variant: str, arrays: dict[str, np.ndarray]) -> Any:
    """transformers' ResNet with the settings of v1.5."""
    shape = resnet.variant_of(variant)
    config = transformers.ResNetConfig(
        embedding_size=shape.width,
        hidden_sizes=[shape.width * 2**i * (4 if shape.bottleneck else 1) for i in range(4)],
        depths=list(shape.blocks),
        layer_type="bottleneck" if shape.bottleneck else "basic",
        downsample_in_first_stage=False,
        downsample_in_bottleneck=False,
        num_labels=ours.CLASSES,
    )
    module = transformers.ResNetForImageClassification(config)
    load(module, {hugging_face_name(name): array for name, array in arrays.items()})
    return module.eval()


def hugging_face_name(name: str) -> str:
    """conv1 -> embedder, layer1.0.conv2 -> encoder.stages.0.layers.0.layer.1, fc -> classifier.1."""
    *module, leaf = name.split(".")
    if module == ["fc"]:
        return f"classifier.1.{leaf}"
    kinds = {"conv": "convolution", "bn": "normalization"}
    if module[0] in ("conv1", "bn1"):
        return f"resnet.embedder.embedder.{kinds[module[0][:-1]]}.{leaf}"
    block = f"resnet.encoder.stages.{int(module[0].removeprefix('layer')) - 1}.layers.{module[1]}"
    if module[2] == "downsample":
        return f"{block}.shortcut.{kinds['conv' if module[3] == '0' else 'bn']}.{leaf}"
    return f"{block}.layer.{int(module[2][-1]) - 1}.{kinds[module[2][:-1]]}.{leaf}"


def load(module: Any, arrays: dict[str, np.ndarray]) -> None:
    """Every tensor of the module, by name; torch's own count of batches apart."""
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}  # copies: a mapped file is read-only
    missing, extra = module.load_state_dict(tensors, strict=False)
    assert not extra and all(name.endswith("num_batches_tracked") for name in missing), (missing, extra)


def nchw(x: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def nhwc(x: Any) -> np.ndarray:
    return x.detach().permute(0, 2, 3, 1).numpy()


def torch_outputs(module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        if isinstance(module, torch_resnet.ResNet):
            stages, logits = module(nchw(x))
        else:
            found = module(nchw(x), output_hidden_states=True, return_dict=True)
            stages, logits = found.hidden_states, found.logits
    return dict(zip(STAGES, map(nhwc, stages), strict=True)) | {"logits": logits.numpy()}


def differences(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}
    return {key: ours.difference(found[key], expected[key]) for key in expected}


def above(tolerance: float, found: dict[str, float], title: str) -> dict[str, float]:
    """The differences above `tolerance`; the largest ones are printed (pytest -rP shows them)."""
    worst = sorted(found, key=lambda key: -found[key])[:6]
    print(f"{title}: " + ", ".join(f"{name} {found[name]:.1e}" for name in worst))
    return {key: value for key, value in found.items() if not value <= tolerance}


# Evaluation


@pytest.mark.parametrize("shape", draw.INPUTS)
@pytest.mark.parametrize("variant", ours.VARIANTS)
def test_stages_and_logits_on_drawn_weights(variant, shape):
    arrays, x = draw.weights(ours.published_shapes(variant)), draw.image(shape)
    found = ours.outputs(ours.network(variant), ours.placed(variant, arrays), x)
    for reference in (written_out, hugging_face) if variant in HUGGING_FACE else (written_out,):
        expected = torch_outputs(reference(variant, arrays), x)
        assert above(1e-5, differences(found, expected), f"{variant} {reference.__name__} {shape}") == {}


@pytest.fixture(scope="module")
def real_weights() -> dict[str, np.ndarray]:
    path = SHARED / "weights" / "resnet18_imagenet.safetensors"
    if not path.is_file():
        pytest.skip(f"no real weights at '{path}'; set TLJAX_SHARED to the folder that holds weights/ and data/")
    return dict(file.read(str(path), card=CARD).arrays)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Two ants and two bees, shorter side 256, centre 224, normalised as the weights expect."""
    folder = SHARED / "data" / "ants_bees" / "val"
    paths = [path for kind in ("ants", "bees") for path in sorted((folder / kind).glob("*.jpg"))[:2]]
    if len(paths) < 4:
        pytest.skip(f"no pictures at '{folder}'; set TLJAX_SHARED to the folder that holds weights/ and data/")
    return np.stack([preprocessed(path) for path in paths])


def preprocessed(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    scale = 256 / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    picture = picture.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + 224, top + 224))
    return (np.asarray(picture, np.float32) / np.float32(CARD.scale) - np.float32(CARD.mean)) / np.float32(CARD.std)


def test_stages_and_logits_on_real_weights_and_pictures(real_weights, pictures):
    arrays = {name: array for name, array in real_weights.items() if not name.endswith("num_batches_tracked")}
    found = ours.outputs(ours.network("18"), ours.placed("18", real_weights), pictures)
    for reference in (written_out, hugging_face):
        expected = torch_outputs(reference("18", arrays), pictures)
        assert above(1e-5, differences(found, expected), f"real weights, {reference.__name__}") == {}
    # ImageNet's class 310 is "ant", 309 "bee". A network that sees nothing finds 0 of 4 among its first
    # five of 1,000; one that sees may miss one, with the ant a speck.
    top = np.argsort(found["logits"], axis=-1)[:, -5:]
    assert sum(kind in seen for kind, seen in zip((310, 310, 309, 309), top, strict=True)) >= 3


# Training


def loss(net: Any, params: Any, variables: Variables, x: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
    """Mean cross-entropy with BatchNorm in training mode, and the new batch_stats."""
    logits, new = net.apply({**variables, "params": params}, x, TRAIN, mutable=["batch_stats"])
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new["batch_stats"]


@pytest.mark.parametrize("variant", [*SMALL, "resnext50_32x4d"])
def test_one_training_step_in_float64(variant):
    """Loss, all gradients and the moved statistics of the whole network.

    In float64, because in float32 torch does not agree with itself: a ReLU whose input is within rounding
    of 0 opens or closes, and single gradients jump by 1e-3 to 1e-1 (float32 stages are tested below).
    What is left is the features' mean, which stays in float32 here: 6e-8.
    """
    arrays = draw.weights(ours.published_shapes(variant))
    x, labels = draw.image((4, 64, 64, 3)).astype(np.float64), np.array([3, 999, 0, 500])
    with jax.enable_x64(True):
        net = ours.network(variant, dtype=jnp.float64)
        variables = jax.tree.map(np.float64, ours.placed(variant, arrays))
        step = jax.jit(jax.value_and_grad(partial(loss, net), has_aux=True))
        (value, stats), grads = step(variables["params"], variables, x, labels)
        found = placement.publish({"params": grads, "batch_stats": stats}, resnet.names(variant))
    module, positions = written_out(variant, arrays, torch.float64).train(), {}
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.register_forward_pre_hook(partial(count_positions, positions, name))
    expected = torch.nn.functional.cross_entropy(module(nchw(x))[1], torch.from_numpy(labels))
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-6)
    theirs = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    buffers = {name: value.numpy() for name, value in module.named_buffers()}
    for name, n in positions.items():
        theirs[f"{name}.running_mean"] = buffers[f"{name}.running_mean"]
        # The stated difference: torch stores the unbiased variance, n / (n - 1) of the biased one.
        old = 0.9 * arrays[f"{name}.running_var"].astype(np.float64)
        theirs[f"{name}.running_var"] = old + (buffers[f"{name}.running_var"] - old) * (n - 1) / n
    assert theirs.keys() == found.keys()
    assert above(1e-6, differences(found, theirs), f"{variant} float64 step") == {}


def count_positions(positions: dict[str, int], name: str, _: Any, inputs: tuple[Any]) -> None:
    positions[name] = inputs[0].numel() // inputs[0].shape[1]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("variant", SMALL)
def test_gradients_of_a_stage_in_float32(variant, stage):
    """Gradients of every parameter and of the input, BatchNorm in training mode."""
    arrays, index = draw.weights(ours.published_shapes(variant)), STAGES.index(stage)
    module = written_out(variant, arrays, torch.float64).train()
    x = input_off_the_kinks(module, index, variant)
    net, variables = ours.network(variant), ours.placed(variant, arrays)

    @jax.jit
    def run(params: Any, x: Any) -> Any:
        output, pull, stats = jax.vjp(
            lambda params, x: ours.stage(net, {**variables, "params": params}, x, stage, TRAIN),
            params,
            x,
            has_aux=True,
        )
        upstream = draw.uniform("upstream", output.shape, -1.0, 1.0)
        return upstream, pull(upstream), stats

    upstream, (grads, grad_x), _ = run(variables["params"], x)
    found = placement.publish({**variables, "params": grads}, resnet.names(variant)) | {"input": np.asarray(grad_x)}
    theirs = nchw(x.astype(np.float64)).requires_grad_()
    module.stage(theirs, index).backward(nchw(np.asarray(upstream, np.float64)))
    expected = {name: p.grad.numpy() for name, p in module.named_parameters() if p.grad is not None}
    expected["input"] = nhwc(theirs.grad)
    found = {name: found[name] for name in expected}
    assert len(expected) > 3
    assert above(1e-4, differences(found, expected), f"{variant} {stage} gradients") == {}


def input_off_the_kinks(module: Any, index: int, variant: str) -> np.ndarray:
    """An input of stage `index` on which float32 and float64 open the same ReLUs.

    None of their inputs is nearer to 0 than 4e-6 of the largest; rounding in float32 moves them by 1e-6.
    """
    channels = 3 if index == 0 else 64 * 2 ** max(index - 2, 0) * (4 if variant == "50" and index > 1 else 1)
    shape = (2, 32, 32, 3) if index == 0 else (2, 6, 6, channels)
    nearest: list[float] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, inputs: nearest.append(float(inputs[0].abs().min() / inputs[0].abs().max()))
        )
        for layer in module.modules()
        if isinstance(layer, torch.nn.ReLU)
    ]
    for attempt in itertools.islice(itertools.count(), 1000):
        x = draw.uniform(f"input {attempt} of stage {index}", shape, 0.0, 2.0)
        nearest.clear()
        with torch.no_grad():
            module.stage(nchw(x.astype(np.float64)), index)
        if min(nearest) > 4e-6:
            for hook in hooks:
                hook.remove()
            return x
    raise AssertionError("no such input in 1000")
