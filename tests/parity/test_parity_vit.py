"""ViT against torch, live: the written-out module and transformers' own, drawn and real weights, real pictures."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from reference import draw, ours, ours_vit
from sklearn.linear_model import LogisticRegression

from tljax.core.types import Card, Mode
from tljax.data import pictures
from tljax.networks.families import vit
from tljax.weights import placement
from tljax.weights.sources import file

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")
from reference import torch_vit  # noqa: E402

CARD = Card(mean=(0.5,) * 3, std=(0.5,) * 3)
CLASSES = {"ants": 310, "bees": 309}  # of ImageNet
# In transformers a class of its own, with these names for the two classifiers.
DISTILLED = {"head": "cls_classifier", "head_dist": "distillation_classifier"}


def size_of(variant: str) -> tuple[int, int]:
    """A grid of 2 x 3 patches."""
    patch = vit.VARIANTS[variant].patch
    return 2 * patch, 3 * patch


def nchw(x: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def written_out(variant: str, arrays: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    module = torch_vit.ViT(variant, size=x.shape[1:3]).eval()
    module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    with torch.inference_mode():
        stages, logits = module(nchw(x))
    stages = dict(zip(vit.VARIANTS[variant].stages, stages, strict=True))
    return {name: output.numpy() for name, output in {**stages, "logits": logits}.items()}


def hugging_face(variant: str, arrays: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """transformers' ViT or DeiT with timm's eps: its own default is 1e-12. Its "gelu" is the exact one."""
    shape = vit.VARIANTS[variant]
    kind = "DeiT" if shape.distilled else "ViT"
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=shape.width,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        layer_norm_eps=1e-6,
        image_size=x.shape[1:3],
        patch_size=shape.patch,
        num_labels=ours_vit.CLASSES,
    )
    assert config.hidden_act == "gelu"
    suffix = "WithTeacher" if shape.distilled else ""
    module = getattr(transformers, f"{kind}ForImageClassification{suffix}")(config).eval()
    module.load_state_dict({n: torch.tensor(a) for n, a in hugging_face_arrays(arrays, kind).items()})
    with torch.inference_mode():
        hidden = module.base_model(nchw(x), output_hidden_states=True)
        stages = [*hidden.hidden_states, hidden.last_hidden_state]
        logits = module(nchw(x)).logits
    stages = dict(zip(shape.stages, stages, strict=True))
    return {name: output.numpy() for name, output in {**stages, "logits": logits}.items()}


def hugging_face_arrays(arrays: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """timm's arrays under transformers' names; queries, keys and values apart."""
    heads = DISTILLED if kind == "DeiT" else {"head": "classifier"}
    layers = {
        "cls_token": "embeddings.cls_token",
        "dist_token": "embeddings.distillation_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.o_proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "norm": "layernorm",
    }
    found, base = {}, kind.lower()
    for name, array in arrays.items():
        layer, _, leaf = name.rpartition(".") if name.endswith(("weight", "bias")) else (name, "", "")
        leaf = f".{leaf}" if leaf else ""
        block, _, inner = layer.removeprefix("blocks.").partition(".") if layer.startswith("blocks.") else ("", "", "")
        if inner == "attn.qkv":
            for letter, part in zip("qkv", np.split(array, 3), strict=True):
                found[f"{base}.layers.{block}.attention.{letter}_proj{leaf}"] = part
        elif inner:
            found[f"{base}.layers.{block}.{layers[inner]}{leaf}"] = array
        else:
            found[heads[layer] + leaf if layer in heads else f"{base}.{layers[layer]}{leaf}"] = array
    return found


def above(tolerance: float, found: dict[str, Any], expected: dict[str, Any], title: str) -> dict[str, float]:
    """The differences above `tolerance`; the largest ones are printed (pytest -rP shows them)."""
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}
    differences = {key: ours.difference(found[key], expected[key]) for key in expected}
    worst = sorted(differences, key=lambda key: -differences[key])[:4]
    print(f"{title}: " + ", ".join(f"{name} {differences[name]:.1e}" for name in worst))
    return {key: value for key, value in differences.items() if not value <= tolerance}


# Those without the parts that later networks have: test_parity_vit_parts.py compares these.
FIRST = [
    name for name, shape in vit.VARIANTS.items() if not (shape.layer_scale or shape.pre_norm or shape.attention_pool)
]


@pytest.mark.parametrize("variant", FIRST)
def test_stages_and_logits_on_drawn_weights(variant):
    size = size_of(variant)
    arrays, x = draw.weights(ours_vit.timm_shapes(variant, size)), draw.image((2, *size, 3))
    found = ours_vit.outputs(ours_vit.network(variant), ours_vit.placed(variant, arrays, size), x)
    for reference in (written_out,) if "gap" in variant else (written_out, hugging_face):
        assert above(1e-5, found, reference(variant, arrays, x), f"{variant} {reference.__name__}") == {}


@pytest.mark.parametrize("variant", ["tiny16", "tiny16_gap", "base16_reg8_gap", "deit_tiny16_distilled"])
def test_loss_and_gradients_of_two_blocks(variant):
    """Of every parameter, in training mode, as torch has them in float64."""
    size, labels = size_of(variant), np.array([3, 9, 0, 5])
    x = draw.image((4, *size, 3))
    with ours_vit.cut(variant, depth=2) as name:
        arrays = draw.weights(ours_vit.timm_shapes(name, size, 10))
        net, rows = ours_vit.network(name, classes=10), vit.names(name)
        variables = ours_vit.placed(name, arrays, size, 10)

    def loss_of(params):
        logits = net.apply({"params": params}, x, Mode(train=True))
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, grads = jax.jit(jax.value_and_grad(loss_of))(variables["params"])
    found = placement.publish({"params": grads}, rows)
    module = torch_vit.ViT(variant, size=size, depth=2, classes=10).double()
    module.load_state_dict({name: torch.tensor(array).double() for name, array in arrays.items()})
    theirs = torch.nn.functional.cross_entropy(module(nchw(x).double())[1], torch.from_numpy(labels))
    theirs.backward()
    expected = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    if "head_dist.weight" in expected:  # by the chain rule: ours is half of either
        halves = [expected.pop("head.weight"), expected.pop("head_dist.weight")]
        expected["head.weight"] = 2 * np.concatenate(halves, axis=1)
        expected["head.bias"] += expected.pop("head_dist.bias")
    assert ours.difference(loss, theirs.item()) <= 1e-5
    assert above(1e-5, found, expected, f"{variant} gradients") == {}


@pytest.mark.parametrize("grid", [(24, 24), (7, 7), (2, 3), (28, 7), (13, 40)])
def test_positions_are_resized_as_torch_does_with_antialiasing(grid):
    positions = draw.uniform("positions", (1, 197, 5), -1.0, 1.0)
    square = torch.from_numpy(positions[:, 1:].reshape(1, 14, 14, 5)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(square, size=grid, mode="bicubic", antialias=True)
    expected = expected.permute(0, 2, 3, 1).reshape(1, -1, 5).numpy()
    assert ours.difference(vit.resize_positions(positions, grid, 1)[:, 1:], expected) <= 1e-5


# Real weights and pictures


@pytest.fixture(scope="module")
def real(shared) -> dict[str, np.ndarray]:
    path = shared / "weights" / "vit_tiny_patch16_224.safetensors"
    if not path.is_file():
        pytest.skip(f"no weights at '{path}'")
    return dict(file.read(str(path), card=CARD).arrays)


@pytest.fixture(scope="module")
def apply(real):
    """(method, (N, 224, 224, 3)) -> outputs, in batches that keep memory small."""
    net, variables = ours_vit.network("tiny16"), ours_vit.placed("tiny16", real, (224, 224))
    run = jax.jit(lambda x, method: net.apply(variables, x, method=method), static_argnames="method")

    def apply(method: str, x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(run(x[i : i + 16], method)) for i in range(0, len(x), 16)])

    return apply


def preprocessed(folder: Path, interpolation: str = "bilinear") -> np.ndarray:
    """The pictures of a folder, shorter side 256, centre 224, in [-1, 1]."""
    paths = sorted(path for path in folder.glob("*") if path.suffix in pictures.SUFFIXES)
    stack = np.stack([pictures.fit(pictures.read(path), 256, interpolation=interpolation) for path in paths])
    return stack[:, 16:-16, 16:-16].astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_real_weights_know_ants_and_bees(apply, shared, interpolation):
    right, total = {}, {}
    for kind, label in CLASSES.items():
        x = preprocessed(shared / "data" / "ants_bees" / "val" / kind, interpolation)
        right[kind], total[kind] = int((apply("__call__", x).argmax(-1) == label).sum()), len(x)
    print(interpolation, right)
    assert total == {"ants": 70, "bees": 83}
    # What the reference implementation reaches, with bilinear resizing; bicubic gives 61 and 70.
    assert right["ants"] >= 59 and right["bees"] >= 69


def test_real_weights_on_pictures_are_torchs(real, apply, shared):
    x = preprocessed(shared / "data" / "ants_bees" / "val" / "ants")[:4]
    found = {"logits": apply("__call__", x)}
    expected = {"logits": written_out("tiny16", real, x)["logits"]}
    assert above(1e-5, found, expected, "real weights") == {}


def test_a_linear_probe_on_real_features(apply, shared):
    features, labels = {}, {}
    for part in ("train", "val"):
        stacks = [preprocessed(shared / "data" / "ants_bees" / part / kind) for kind in CLASSES]
        features[part] = apply("features", np.concatenate(stacks))
        labels[part] = np.repeat([0, 1], [len(stack) for stack in stacks])
    assert (len(labels["train"]), len(labels["val"])) == (244, 153)
    probe = LogisticRegression(C=0.01, max_iter=1000).fit(features["train"], labels["train"])
    right = int((probe.predict(features["val"]) == labels["val"]).sum())
    print(f"{right} of 153")
    assert right >= 146  # the reference's features give 148; two pictures are allowed
