"""DeBERTa's attention: distances and their buckets, scores by hand, the table of distances between stages."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours, ours_text

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks import disentangled, network
from tljax.networks.families import deberta
from tljax.training import optimizer
from tljax.weights import placement

TRAIN = Mode(train=True)
SHAPE = ours_text.narrow("deberta", dropout=0.0, attention_dropout=0.0)
CONVOLVED = dataclasses.replace(SHAPE, kernel=3)
X = ours_text.tokens("deberta")
KINDS = [
    {},
    {"kinds": "c2p"},
    {"kinds": "p2c"},
    {"kinds": ""},
    {"shared": False},
    {"distance_norm": "none"},
    {"buckets": -1, "furthest": 5},
    {"types": 2, "kernel": 3},
    {"kernel": 5, "convolution_groups": 2, "convolution_activation": "gelu"},
]


def small(shape=SHAPE, **options):
    return ours_text.network(shape, **options), ours_text.drawn("deberta", ours_text.network(shape))


def hidden(net, variables, x, stop="block1", mode=EVALUATE, seed=0):
    rngs = {"dropout": jax.random.key(seed)}
    return net.apply(variables, x, mode, stop=stop, method="features", rngs=rngs)["hidden"]


# Distances


def test_near_distances_have_their_own_row_and_far_ones_share_some():
    # ceil(3 ln(d / 4) / ln(23 / 4)) is 1 from 5 on, 2 from 8 on, 3 from 13 on.
    right = [0, 1, 2, 3, 4, 5, 5, 5, *[6] * 5, *[7] * 11]
    expected = 8 + np.array([*(-x for x in right[:0:-1]), *right])
    np.testing.assert_array_equal(disentangled.rows(SHAPE), expected)


def test_the_published_table_has_512_rows():
    rows, far = disentangled.rows(deberta.VARIANTS["base"]), 511
    assert rows.shape == (1023,) and (rows.min(), rows.max()) == (1, 511)
    np.testing.assert_array_equal(rows[far - 128 : far + 129], np.arange(128, 385))
    assert (np.diff(rows) >= 0).all() and (np.diff(rows) <= 1).all()
    np.testing.assert_array_equal(rows + rows[::-1], 512)


def test_without_buckets_what_is_farther_counts_as_the_farthest():
    rows = disentangled.rows(dataclasses.replace(SHAPE, buckets=-1, furthest=5))
    np.testing.assert_array_equal(rows[23 - 7 : 23 + 8], [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9])


@pytest.mark.parametrize("length", [1, 2, 7])
def test_skewed_is_a_look_up_by_distance(length):
    x = draw.uniform("skew", (2, 3, length, 2 * length - 1))
    i, j = np.indices((length, length))
    np.testing.assert_array_equal(disentangled.skewed(jnp.asarray(x)), x[..., i, length - 1 - i + j])


# Attention


@pytest.mark.parametrize("changes", KINDS[:6], ids=str)
def test_scores_by_hand(changes):
    shape = dataclasses.replace(SHAPE, **changes)
    params = small(shape)[1]["params"]["backbone"]["block0"]["attention"]
    x, table = draw.uniform("x", (1, 9, 32), -1, 1), draw.uniform("table", (16, 32), -1, 1)
    mask = np.arange(9)[None] < 7
    found = disentangled.Attention(shape, jnp.float32).apply({"params": params}, x, mask, table, EVALUATE)

    def dense(name, y):
        y = y.astype(np.float64) @ params[name]["kernel"] + params[name]["bias"][None]
        return y.reshape(len(y), 4, 8)

    q, k, v = (dense(name, x[0]) for name in ("query", "key", "value"))
    kinds, own = disentangled.split(shape.kinds), "" if shape.shared else "distance_"
    scores = np.einsum("ihd,jhd->hij", q, k)
    for i, j in itertools.product(range(9), repeat=2):
        row = table[disentangled.rows(shape)[23 + i - j]][None]
        if "c2p" in kinds:
            scores[:, i, j] += (q[i] * dense(f"{own}key", row)[0]).sum(-1)
        if "p2c" in kinds:
            scores[:, i, j] += (k[j] * dense(f"{own}query", row)[0]).sum(-1)
    weights = np.exp(scores / np.sqrt(8 * (1 + len(kinds)))) * mask
    y = np.einsum("hij,jhd->ihd", weights / weights.sum(-1, keepdims=True), v).reshape(9, 32)
    expected = y @ params["out"]["kernel"] + params["out"]["bias"]
    assert ours.difference(np.asarray(found[0]), expected) < 1e-5


def test_order_counts_by_distance_alone():
    """The same text behind three other tokens, all of which are masked out, is the same to itself."""
    net, variables = small(dataclasses.replace(SHAPE, pooling="mean"))
    params = variables["params"]["backbone"]
    table = net.backbone.clone().bind({"params": params}).embed.distances()
    block = disentangled.Block(SHAPE, jnp.float32, first=False)
    x = draw.uniform("moved", (1, 6, 32), -1, 1)
    moved = np.concatenate([np.ones((1, 3, 32), np.float32), x], axis=1)

    def run(states, mask):
        given = {"hidden": states, "mask": mask}
        return block.apply({"params": params["block1"]}, given, EVALUATE, table=lambda: table)["hidden"]

    found = run(moved, np.arange(9)[None] >= 3)[:, 3:]
    assert ours.difference(found, run(x, np.ones((1, 6), bool))) < 1e-6
    turned = run(x[:, ::-1], np.ones((1, 6), bool))[:, ::-1]
    assert ours.difference(turned, run(x, np.ones((1, 6), bool))) > 1e-3


@pytest.mark.parametrize("shape", [SHAPE, CONVOLVED], ids=["plain", "convolved"])
def test_padding_and_what_stands_in_it_change_nothing(shape):
    net, variables = small(shape)
    mask = X["mask"]
    other = {**X, "ids": np.where(mask, X["ids"], 17)}
    for stop in ("embed", "block0", "block1"):
        before, after = hidden(net, variables, X, stop), hidden(net, variables, other, stop)
        np.testing.assert_array_equal(after[mask], before[mask])
    assert not np.asarray(hidden(net, variables, X, "embed"))[~mask].any()
    wider = {name: np.pad(array, ((0, 0), (0, 6))) for name, array in X.items()}
    assert ours.difference(net.apply(variables, wider), net.apply(variables, X)) < 1e-6


# Stages


def test_two_partial_runs_are_the_whole_run_and_so_is_one_with_remat():
    net, variables = small(CONVOLVED)
    whole = net.apply(variables, X)
    for stop, start in itertools.pairwise(net.backbone.stages):
        middle = net.apply(variables, X, EVALUATE, stop=stop, method="features")
        assert set(middle) == {"hidden", "mask"}  # the table is no part of what is cached
        np.testing.assert_array_equal(net.apply(variables, middle, start=start), whole)
    again = net.clone(remat=net.backbone.stages)
    assert isinstance(again, network.Network)
    np.testing.assert_array_equal(again.apply(variables, X), whole)


def test_the_table_is_of_the_stage_embed():
    net, variables = small()
    groups = layer_groups.assign(variables["params"], net.backbone.stages, {})
    assert list(groups) == ["embed", "block0", "block1", "pool", "head"]
    assert [path for paths in groups.values() for path in paths if "distance" in path] == [
        "backbone/embed/distance/embedding",
        "backbone/embed/distance_norm/bias",
        "backbone/embed/distance_norm/scale",
    ]


@pytest.mark.parametrize("learning", [("block1", "head"), ("embed", "head")])
def test_gradients_reach_the_table_where_embed_learns(learning):
    net, variables = small()
    groups = layer_groups.assign(variables["params"], net.backbone.stages, {})
    mode = Mode(True, layer_groups.frozen_modules(groups, learning))
    learns, rest = optimizer.split(variables["params"], optimizer.labels(groups, learning))

    def loss_of(learns):
        return (net.apply({"params": optimizer.merge(learns, rest)}, X, mode) ** 2).sum()

    grads = {path: g for path, g in flatten(jax.grad(loss_of)(learns)).items() if isinstance(g, jax.Array)}
    assert set(grads) == {path for group in learning for path in groups[group]}
    if "embed" in learning:
        moved = np.abs(grads["backbone/embed/distance/embedding"]).max(axis=1) > 0
        near = disentangled.rows(SHAPE)[23 - 9 : 23 + 10]  # texts of 10 tokens
        assert set(np.flatnonzero(moved)) == set(near)


# Dropout and dtypes


def test_attention_written_out_for_dropout_is_the_fused_one():
    net, variables = small(dataclasses.replace(SHAPE, attention_dropout=1e-30))
    assert ours.difference(hidden(net, variables, X, mode=TRAIN), hidden(net, variables, X)) < 1e-6


@pytest.mark.parametrize("rates", [{"dropout": 0.1}, {"attention_dropout": 0.1}])
def test_dropout_is_of_training_alone_and_not_of_what_is_frozen(rates):
    net, variables = small(dataclasses.replace(CONVOLVED, **rates))
    still = hidden(net, variables, X)
    assert ours.difference(hidden(net, variables, X, mode=TRAIN), still) > 0.01
    np.testing.assert_array_equal(hidden(net, variables, X, mode=Mode(True, frozenset({"backbone"}))), still)


def test_bfloat16_computes_in_bfloat16_on_float32_parameters():
    (net, variables), (exactly, _) = small(CONVOLVED, dtype="bfloat16"), small(CONVOLVED)
    found, exact = hidden(net, variables, X), hidden(exactly, variables, X)
    assert found.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(placement.shapes(net, X))} == {np.dtype(np.float32)}
    assert 1e-5 < ours.difference(np.asarray(found, np.float32), exact) < 0.022  # as in test_encoder.py


# Refusals, and a length that is not known yet


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kinds": "c2p|p2p"}, r"pos_att_type 'c2p\|p2p', must be of c2p, p2c"),
        ({"distance_norm": "batch_norm"}, "norm_rel_ebd 'batch_norm', must be of none, layer_norm"),
        ({"convolution_activation": "relu"}, "conv_act 'relu', must be of tanh, gelu"),
        ({"kernel": 4}, "conv_kernel_size 4, must be odd"),
    ],
)
def test_other_kinds_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        dataclasses.replace(SHAPE, **changes)


def test_more_tokens_than_positions_are_refused():
    net, variables = small()
    with pytest.raises(ConfigError, match=r"for 24 tokens; texts are cut to 25\. Lower config"):
        net.apply(variables, ours_text.tokens("deberta", (1, 25)))


def test_it_is_exported_for_any_length():
    net, variables = small(CONVOLVED)
    rows = jax.export.symbolic_shape("b, l", constraints=["l <= 24"])
    shapes = {name: jax.ShapeDtypeStruct(rows, array.dtype) for name, array in X.items()}
    program = jax.export.export(jax.jit(lambda x: net.apply(variables, x)))(shapes)
    for shape in ((3, 10), (1, 1), (2, 24)):
        x = ours_text.tokens("deberta", shape)
        assert ours.difference(program.call(x), net.apply(variables, x)) < 1e-6


# Against torch


@pytest.mark.parity
@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_every_kind_is_torchs(changes):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    shape = dataclasses.replace(SHAPE, **changes)
    config = transformers.DebertaV2Config(**deberta.describe(shape, ()), num_labels=10)
    module = transformers.DebertaV2ForSequenceClassification(config).eval()
    arrays = draw.weights({name: tuple(leaf.shape) for name, leaf in module.state_dict().items()})
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    assert deberta.infer(arrays, config.to_dict()) == shape
    net = ours_text.network(shape)
    variables = ours_text.placed("deberta", net, arrays)
    for size in ((3, 10), (1, 1), (2, 24)):
        x = ours_text.tokens("deberta", size)
        given = {"attention_mask": torch.from_numpy(x["mask"]).int(), "token_type_ids": torch.from_numpy(x["types"])}
        with torch.inference_mode():
            theirs = module(torch.from_numpy(x["ids"]), output_hidden_states=True, **given)
        found = ours_text.outputs(net, variables, x)
        states = {"embed": 0, "block0": 1, "block1": 2}
        expected = {name: theirs.hidden_states[i].numpy() * x["mask"][..., None] for name, i in states.items()}
        for name, output in {**expected, "logits": theirs.logits.numpy()}.items():
            assert ours.difference(found[name], output) <= 1e-5, (size, name)


@pytest.mark.parity
@pytest.mark.parametrize(("buckets", "positions"), [(256, 512), (8, 24), (32, 64), (320, 512)])
def test_every_distance_has_torchs_row(buckets, positions):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2")
    found = theirs.make_log_bucket_position(torch.arange(1 - positions, positions), buckets, positions).long()
    shape = dataclasses.replace(SHAPE, buckets=buckets, positions=positions)
    expected = torch.clamp(found + buckets, 0, 2 * buckets - 1).numpy()
    np.testing.assert_array_equal(disentangled.rows(shape), expected)
