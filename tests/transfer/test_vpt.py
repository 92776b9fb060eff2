"""VPT: its equations, what the prompts leave alone, a run from weights with and without them, and its export."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tests import small
from tljax.__main__ import main
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.core.types import EVALUATE
from tljax.networks import stage_maps
from tljax.networks.attention import WEIGHTS
from tljax.networks.network import Network
from tljax.networks.vision_transformer import Variant, ViT
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.transfer.strategies import vpt

BASE = Variant(patch=4, width=8, heads=2, depth=3)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 12, 3)), jnp.float32)
KINDS = [{}, {"average": True}, {"average_after": True, "class_token": False}, {"distilled": True}]


def prompted(deep, **kind):
    """(base network, prompted network, its variables), every value drawn so that nothing is nearly 0."""
    shape = dataclasses.replace(BASE, **kind)
    base, ours = (
        Network(ViT(one), nn.Dense(5)) for one in (shape, dataclasses.replace(shape, prompts=4, deep_prompts=deep))
    )
    rng = np.random.default_rng(1)
    params = jax.eval_shape(ours.init, jax.random.key(0), X)["params"]
    return base, ours, {"params": jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), params)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deep", [True, False])
def test_blocks_see_the_prompts_behind_the_class_token_as_in_the_paper_and_the_head_never(deep, kind):
    base, ours, variables = prompted(deep, **kind)
    backbone = variables["params"]["backbone"]
    tokens = base.apply(variables, X, EVALUATE, stop="embed", method="features")
    first = int(base.backbone.variant.class_token)
    for stage in ("block0", "block1", "block2"):
        if "prompts" in backbone[stage]:
            prompts = np.broadcast_to(backbone[stage]["prompts"], (2, 4, 8))
            tokens = jnp.concatenate([tokens[:, :first], prompts, tokens[:, first:]], axis=1)
        tokens = base.apply(variables, tokens, EVALUATE, start=stage, stop=stage, method="encoded")
        if deep:
            tokens = jnp.concatenate([tokens[:, :first], tokens[:, first + 4 :]], axis=1)
    if not deep:
        tokens = jnp.concatenate([tokens[:, :first], tokens[:, first + 4 :]], axis=1)
    expected = base.apply(variables, tokens, EVALUATE, start="norm")
    np.testing.assert_allclose(ours.apply(variables, X), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(ours.apply(variables, X) - base.apply(variables, X)).max() > 0.1


@pytest.mark.parametrize("deep", [True, False])
def test_positions_and_the_maps_for_other_heads_are_those_of_the_picture(deep):
    base, ours, variables = prompted(deep)
    shapes = flatten(jax.eval_shape(base.init, jax.random.key(0), X)["params"])
    ours_too = {path: x for path, x in flatten(variables["params"]).items() if not path.endswith("prompts")}
    assert {path: x.shape for path, x in ours_too.items()} == {path: x.shape for path, x in shapes.items()}
    before = {one.name: one.tokens_before for one in stage_maps.of(ours.backbone)}
    carried = 1 if deep else 5
    assert before == {"embed": 1, "block0": carried, "block1": carried, "block2": carried, "norm": 1}
    _, kept = ours.apply(variables, X, mutable=[WEIGHTS])  # what `tljax explain` follows
    assert {x.shape for x in jax.tree.leaves(kept)} == {(2, 2, 7, 7)}


def test_they_begin_uniform_by_the_patch_and_the_width():
    shape = dataclasses.replace(BASE, prompts=300, deep_prompts=True)
    leaves = flatten(Network(ViT(shape), nn.Dense(5)).init(jax.random.key(0), X)["params"])
    prompts = [x for path, x in leaves.items() if path.endswith("prompts")]
    bound = (6 / (3 * 16 + 8)) ** 0.5
    assert len(prompts) == 3 and all(0.99 * bound < np.abs(x).max() <= bound for x in prompts)
    assert (prompts[0] != prompts[1]).all()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of a ViT from scratch, and of one with prompts that begins from it."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patched:
        run(small.vit_config(patched, report="none", train__epochs=1.0), root / "plain")
        run(config(patched, root / "plain"), root / "vpt")
        yield root


def config(monkeypatch, weights, **changes):
    keys = {"strategy__name": "vpt", "strategy__prompts": 3, "model__weights": str(weights / "model")}
    return small.vit_config(monkeypatch, report="none", train__epochs=1.0, **(keys | changes))


def test_all_but_prompts_and_head_stay_to_the_last_bit_and_are_found_again(runs, monkeypatch):
    before, after = (saved_model.load(runs / name) for name in ("plain", "vpt"))
    bits = {name: small.bits(model.variables["params"]["backbone"]) for name, model in
            (("before", before), ("after", after))}  # fmt: skip
    added = bits["after"].keys() - bits["before"].keys()
    assert added == {"['block0']['prompts']", "['block1']['prompts']"}
    assert {path: bits["after"][path] for path in bits["before"]} == bits["before"]
    assert (after.variant["prompts"], after.variant["deep_prompts"]) == (3, True)


def test_another_run_begins_with_the_prompts_of_its_weights_and_no_other_number(runs, monkeypatch, tmp_path):
    again = {"model__variant": "auto", "optimizer__lr": 1e-30}
    result = run(config(monkeypatch, runs / "vpt", **again), tmp_path / "again")
    assert result["parameters"]["trainable"] == 2 * 3 * 16 + 85
    theirs, ours = (small.saved_bits(folder) for folder in (runs / "vpt", tmp_path / "again"))
    assert {name for name in theirs if theirs[name] != ours[name]} <= {"['head.weight']", "['head.bias']"}
    with pytest.raises(ConfigError, match=r"keep them: config\.strategy\.prompts=3 and deep=True; got 5 and True"):
        run(config(monkeypatch, runs / "vpt", strategy__prompts=5, model__variant="auto"), tmp_path / "five")


def test_a_network_without_tokens_is_refused():
    with pytest.raises(ConfigError, match="vpt needs a vision transformer, config.model.family=vit"):
        vpt.variant(small.TINY, default.get_config().strategy)


def test_names_of_timm_are_refused_and_arrays_are_written(runs, tmp_path, capsys):
    asked = ["export", str(runs / "vpt")]
    assert main([*asked, "--to=safetensors-torch", f"--out={tmp_path / 'net.safetensors'}"]) == 2
    assert "none of them has learned prompts (vpt). Choose --to=stablehlo or onnx" in capsys.readouterr().err
    assert not (tmp_path / "net.safetensors").exists()
    assert main([*asked, "--to=npz", f"--out={tmp_path / 'net.npz'}"]) == 0
    assert np.load(tmp_path / "net.npz")["blocks.1.prompts"].shape == (1, 3, 16)
