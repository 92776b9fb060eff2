"""Sentence encoders of the zoo from a stand-in hub: files as their authors lay them, random weights.

The vector of a text is that of transformers' encoder, pooled and normalised as the repository's files say; a prefix
is that of the card.
"""

import json
from typing import Any

import flax.linen as nn
import numpy as np
import pytest

from configs import default
from tests.parity.test_parity_vit import above
from tests.parity.test_parity_vit_parts import drawn
from tests.weights.test_hub import FIRST, Hub, cache, server  # noqa: F401
from tljax.core.plugins import find
from tljax.networks.network import Network
from tljax.weights import placement, pretrained
from tljax.weights.sources import hub

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40,
         "vocab_size": 60, "max_position_embeddings": 30}  # fmt: skip
RETRIEVAL = {"query": "Represent this sentence for searching relevant passages: ", "passage": ""}
# Repository -> (transformers' class, the pooling that is on, whether vectors are divided by their length, prompts).
REPOSITORIES: dict[str, tuple[str, str, bool, dict[str, str]]] = {
    "BAAI/bge-small-en-v1.5": ("Bert", "cls", True, {}),
    "BAAI/bge-base-en-v1.5": ("Bert", "cls", True, {}),
    "intfloat/e5-small-v2": ("Bert", "mean", True, {}),
    "intfloat/e5-base-v2": ("Bert", "mean", True, {}),
    "intfloat/multilingual-e5-small": ("Bert", "mean", True, {}),
    "intfloat/multilingual-e5-base": ("XLMRoberta", "mean", True, {}),
    "thenlper/gte-small": ("Bert", "mean", True, {}),
    "thenlper/gte-base": ("Bert", "mean", True, {}),
    "mixedbread-ai/mxbai-embed-large-v1": ("Bert", "cls", False, RETRIEVAL),
    "sentence-transformers/all-MiniLM-L12-v2": ("Bert", "mean", True, {}),
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": ("Bert", "mean", False, {}),
    "sentence-transformers/all-mpnet-base-v2": ("MPNet", "mean", True, {}),
}


def laid(hub: Hub, spec: str, module: Any, folder: Any) -> None:
    """The repository's files at the stand-in: what transformers writes, and what sentence-transformers adds."""
    _, pooling, normalised, prompts = REPOSITORIES[spec]
    module.save_pretrained(folder)
    kinds = ("Transformer", "Pooling", "Normalize")[: 3 if normalised else 2]
    rows = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    modes = {f"pooling_mode_{mode}": mode.startswith(pooling) for mode in ("cls_token", "mean_tokens", "max_tokens")}
    said = {"prompts": prompts, "default_prompt_name": None}
    texts = {"modules.json": rows, "1_Pooling/config.json": modes, "config_sentence_transformers.json": said}
    hub.repository = spec
    hub.commits = {FIRST: (folder / "model.safetensors").read_bytes()}
    hub.beside = {name: json.dumps(text).encode() for name, text in texts.items()}
    hub.beside["config.json"] = (folder / "config.json").read_bytes()


def pooled(states: Any, mask: Any, pooling: str, *, normalised: bool) -> np.ndarray:
    """As the page of each of these repositories does it by hand."""
    weights = mask[..., None].to(states.dtype)
    vectors = states[:, 0] if pooling == "cls" else (states * weights).sum(1) / weights.sum(1)
    return (torch.nn.functional.normalize(vectors, dim=1) if normalised else vectors).numpy()


@pytest.mark.parametrize("spec", REPOSITORIES)
def test_a_repositorys_vectors(spec, server, tmp_path):  # noqa: F811
    kind, pooling, normalised, prompts = REPOSITORIES[spec]
    padding = {"pad_token_id": 1} if kind != "Bert" else {}
    module = drawn(getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**SIZES, **padding)))
    laid(server, spec, module, tmp_path)
    card = hub.read_card(spec)
    config = default.get_config().model
    config.update(family=card.family, variant="auto", weights=spec, lock_file=str(tmp_path / "lock.json"))
    known = pretrained.fetch(config, wanted=True)
    family = find("families", card.family)
    assert family.variant_of(known.variant).pooling == family.VARIANTS[card.variant].pooling
    assert known.card.prefix == ("query: " if "e5-" in spec else "")
    assert any("prompts of the weights: query 'Represent" in note for note in known.notes) == bool(prompts)
    lengths = np.array([11, 4, 2])
    mask = np.arange(11) < lengths[:, None]
    ids = np.where(mask, np.random.default_rng(0).integers(3, 60, mask.shape), int(kind != "Bert")).astype(np.int32)
    x: dict[str, Any] = {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}
    network, published = Network(family.build(known.variant), nn.Dense(2)), known.published
    names, unused = family.names(known.variant), family.UNUSED
    variables, _ = placement.start(
        network, x, seed=0, published=published, names=names, adapt=family.adapt, unused=unused
    )
    found = np.asarray(network.apply(variables, x, method="features"))
    with torch.inference_mode():
        states = module(torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state
    expected = pooled(states, torch.tensor(mask), pooling, normalised=normalised)
    assert above(1e-5, {"vector": found}, {"vector": expected}, spec) == {}
