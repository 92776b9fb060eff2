"""FSDP: which axis is divided; a divided run is the replicated one on less memory, its checkpoints are in parts."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh
from ml_collections import ConfigDict

from tests import small
from tljax.core.errors import ConfigError
from tljax.networks.families import vit
from tljax.runs.run import run
from tljax.training import parallel, sharding
from tljax.training.checkpoints.checkpoint import Checkpoints
from tljax.training.sharding import Layout


def layout(fsdp, rules=()):
    return Layout(AbstractMesh((1, fsdp), sharding.AXES), rules)


def axis_of(one, path, shape):
    tree = jax.ShapeDtypeStruct(shape, jnp.float32)
    for key in reversed(path.split(".")):
        tree = {key: tree}
    spec = jax.tree.leaves(one.of(tree))[0].spec
    return spec.index("fsdp") if "fsdp" in spec else -1


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((64, 128), 1),  # the largest axis
        ((128, 64), 0),
        ((128, 128), 0),  # of equal ones the first
        ((3, 3, 66, 64), 3),  # 66 is larger, and 4 does not divide it
        ((66, 67), -1),  # none that 4 divides
        ((16, 16), -1),  # small
        ((), -1),
    ],
)
def test_the_largest_axis_that_fsdp_divides_is_divided(shape, axis):
    assert axis_of(layout(4), "params.head.kernel", shape) == axis


def test_an_own_rule_holds_for_a_parameter_and_its_moments():
    one = layout(4, (("stage1.*.kernel", 0), ("head.*", -1)))
    for front in ("params.backbone", "opt_state.inner_states.all.inner_state.0.mu.backbone"):
        assert axis_of(one, f"{front}.stage1.conv.kernel", (64, 128)) == 0
        assert axis_of(one, f"{front}.stage2.conv.kernel", (64, 128)) == 1
    assert axis_of(one, "params.head.kernel", (64, 128)) == -1
    assert axis_of(one, "opt_state.0.v_row.stage1.conv.kernel", (6,)) == -1  # a factored moment has no such axis


def test_rules_that_do_not_fit_are_all_named():
    params = {"backbone": {"kernel": np.zeros((6, 64))}}
    with pytest.raises(ConfigError, match=re.escape("'bakbone.*' matches no parameter")) as raised:
        layout(4, (("bakbone.*", 0), ("backbone.kernel", 0), ("kernel", 1))).check(params)
    assert "'backbone.kernel': axis 0 is not one that 4 divides of backbone.kernel (6, 64)" in str(raised.value)
    assert "'kernel'" not in str(raised.value)


@pytest.mark.parametrize(
    ("mode", "mesh", "words"),
    [
        ("jit", {"fsdp": 3}, "must be the number of devices, 4; got data=0 (the rest), fsdp=3"),
        ("jit", {"data": 3}, "got data=3, fsdp=1"),
        ("pmap", {"fsdp": 2}, "config.mesh needs config.parallel=jit; got pmap"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(mode, mesh, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        parallel.make(mode, **mesh)


def test_vit_b_with_adamw_takes_less_than_a_sixth_on_each_of_eight_devices():
    backbone = vit.build("base16")
    params = jax.eval_shape(lambda: backbone.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3))))["params"]
    state = {"params": params, "opt_state": jax.eval_shape(optax.adamw(1e-3).init, params)}
    whole = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    assert whole > 1e9
    assert layout(8).bytes(state) <= whole / 6


CHANGES = {
    "optimizer__name": "adamw",
    "optimizer__lr": 1e-3,
    "optimizer__ema": 0.9,
    "optimizer__kwargs": ConfigDict(),
    "train__epochs": 3.0,
}


def divided(**mesh):
    return small.config(**CHANGES, **{f"mesh__{key}": value for key, value in mesh.items()})


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicated")
    run(divided(), folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(divided(fsdp=2), folder)
    return folder


def test_a_divided_run_is_the_replicated_one(replicated, whole):
    np.testing.assert_allclose(small.losses(whole), small.losses(replicated), rtol=1e-6, atol=1e-6)


def test_checkpoints_are_written_and_read_in_parts(whole, tmp_path, monkeypatch):
    """A run that is cut off goes on from divided arrays, never from whole ones, and ends bit for bit the same."""
    read, restore = [], Checkpoints.restore

    def noted(self, kind, template):
        found = restore(self, kind, template)
        read.extend(jax.tree.leaves(found[0].params) if found else [])
        return found

    small.run_cut_off(monkeypatch, divided(fsdp=2), tmp_path, at=int(len(small.losses(whole)) * 0.7))
    monkeypatch.setattr(Checkpoints, "restore", noted)
    run(divided(fsdp=2), tmp_path)
    assert small.saved_bits(tmp_path) == small.saved_bits(whole)
    parts = {math.prod(x.sharding.shard_shape(x.shape)) / x.size for x in read if x.size >= sharding.SMALL}
    assert parts == {0.5}


def test_a_divided_run_goes_on_on_another_mesh(replicated, tmp_path, monkeypatch):
    at = int(len(small.losses(replicated)) * 0.7)
    small.run_cut_off(monkeypatch, divided(data=1, fsdp=4), tmp_path, at=at)
    run(divided(), tmp_path)
    np.testing.assert_allclose(small.losses(tmp_path), small.losses(replicated), rtol=1e-5, atol=1e-6)
