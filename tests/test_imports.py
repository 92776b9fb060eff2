"""Imports point down, plugins never import each other, and every module and config loads."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = ("data", "models", "weights", "strategies", "tasks", "adaptation", "builders", "formats", "spellings")
# From the bottom up; a module may import from lower rows, and from its own row's earlier entries.
LAYERS = (
    ("errors", "types", "trees", "atomic", "memory", "screen", "labels", "significance", "transferability"),
    (
        "plugins",
        "layouts",
        "sizes",
        "layer_groups",
        "depthwise",
        "ops",
        "flops",
        "parallel",
        "layers",
        "pictures",
        "texts",
        "tfds_features",
        "reach",
        "schedules",
        "attention",
        "settings",
        "run_folder",
        "figures",
        "throughput",
        "events",
        "mixing",
    ),
    ("backbone", "network", "masking"),
    (
        "additions",
        "bit_names",
        "encoder",
        "disentangled",
        "encoder_family",
        "vision_transformer",
        "inverted_residual",
        "inverted_residual_names",
        "masked_network",
    ),
    ("cards", "sentence_pooling", "tensors", "local_weights", "lock_file"),
    PLUGINS,
    (
        "feature_store",
        "splits",
        "domains",
        "decoded_pictures",
        "batches",
        "pairs",
        "preprocess",
        "train_state",
        "averaging",
        "accumulation",
        "placement",
        "refit",
        "translation",
        "channels",
        "pretrained",
        "optimizer",
        "overrides",
        "plan",
    ),
    ("tokenizer", "tokens", "vocabularies"),
    ("inputs",),
    ("experiment", "method", "alignment"),
    ("train_step", "norm_statistics", "evaluate", "checkpoint", "report", "saved_model"),
    ("prefix", "features", "selection", "predictor", "exports", "published_model"),
    ("views",),
    ("fit",),
    ("job", "results", "transfer"),
    ("train_loop", "suite", "comparison", "lr_sweep", "decision"),
    ("cli",),
    ("commands", "__main__", "main"),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def imported(file: Path) -> set[str]:
    """The first part below tljax of everything that a file imports from it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "tljax":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tljax."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tljax.")}
    return names


def place(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] == "main" else parts[1]


FILES = [ROOT / "main.py", *(p for p in sorted((ROOT / "tljax").rglob("*.py")) if p.name != "__init__.py")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file):
    own = place(file)
    upward = [name for name in imported(file) if RANK[name] > RANK[own]]
    assert not upward, f"{own} may not import {upward}"
    if own in PLUGINS:
        sideways = [name for name in imported(file) if name in PLUGINS]
        # A data source may use a builder: both are about where examples come from.
        assert [name for name in sideways if (own, name) != ("data", "builders")] == []


def test_every_file_has_a_layer():
    assert {place(file) for file in FILES} == set(RANK)


@pytest.mark.parametrize("package", ["tljax", "configs"])
def test_every_module_loads(package):
    root = importlib.import_module(package)
    names = [module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.")]
    assert names
    for name in names:
        assert importlib.import_module(name).__doc__, f"{name} must say what it is"


# Imported inside of functions, by what needs it alone.
HEAVY = {"tokenizer": {"transformers"}, "formats": {"torch"}}


def test_the_network_is_free_of_torch_and_tensorflow():
    for file in FILES:
        heavy = {"torch", "tensorflow", "transformers"} - HEAVY.get(place(file), set())
        tree = ast.parse(file.read_text())
        top = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        top |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not top & heavy, file
