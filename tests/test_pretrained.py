"""Placing published arrays, and reading files of weights: what differs and what is wrong is said at once."""

import json
import pickle
import re
import zipfile
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from tljax import pretrained
from tljax.errors import WeightsError
from tljax.models import resnet
from tljax.network import Network
from tljax.types import Card, Name, Published, Variables, flatten
from tljax.weights import file

CARD = Card(mean=(0.5,), std=(0.25,))
CLASSES = 3

# A network of two layers under published names, small enough to see whole.
NAMES = (
    Name("conv.weight", "params", "backbone/stem/conv/kernel", "conv"),
    Name("bn.weight", "params", "backbone/stem/bn/scale"),
    Name("bn.running_mean", "batch_stats", "backbone/stem/bn/mean"),
    Name("fc.weight", "params", "head/kernel", "dense"),
    Name("fc.bias", "params", "head/bias"),
)
SHAPES = {"conv.weight": (4, 3, 2, 2), "bn.weight": (4,), "bn.running_mean": (4,), "fc.weight": (3, 4), "fc.bias": (3,)}


def initial() -> Variables:
    return {
        "params": {
            "backbone": {"stem": {"conv": {"kernel": full(2, 2, 3, 4)}, "bn": {"scale": full(4)}}},
            "head": {"kernel": full(4, 3), "bias": full(3)},
        },
        "batch_stats": {"backbone": {"stem": {"bn": {"mean": full(4)}}}},
    }


def full(*shape: int) -> np.ndarray:
    return np.full(shape, -1, np.float32)


def arrays(**changed: np.ndarray | None) -> dict[str, np.ndarray]:
    """Every tensor counts up from 0; `conv__weight=` changes one, None leaves it out."""
    found = {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for name, shape in SHAPES.items()}
    found |= {name.replace("__", "."): array for name, array in changed.items()}
    return {name: array for name, array in found.items() if array is not None}


def place(found: dict[str, np.ndarray], **options):
    return pretrained.place(initial(), Published(found, CARD, "some.file"), NAMES, **options)


# Placing


def test_place_moves_axes_and_keeps_the_head():
    variables, kept = place(arrays())
    kernel = variables["params"]["backbone"]["stem"]["conv"]["kernel"]
    assert kernel.shape == (2, 2, 3, 4)  # OIHW -> HWIO
    assert kernel[1, 0, 2, 3] == arrays()["conv.weight"][3, 2, 1, 0]
    assert variables["batch_stats"]["backbone"]["stem"]["bn"]["mean"].tolist() == [0, 1, 2, 3]
    assert set(kept) == {"head/kernel", "head/bias"}
    assert (variables["params"]["head"]["kernel"] == -1).all()


def test_place_takes_the_published_head_when_asked():
    variables, kept = place(arrays(), head=True)
    assert kept == ()
    np.testing.assert_array_equal(variables["params"]["head"]["kernel"], arrays()["fc.weight"].T)


def test_a_head_of_other_classes_is_no_difference_unless_it_is_asked_for():
    other = arrays(fc__weight=np.zeros((1000, 4)), fc__bias=None)
    assert set(place(other)[1]) == {"head/kernel", "head/bias"}
    with pytest.raises(WeightsError, match=r"missing: fc\.bias\n.*fc\.weight \(1000, 4\), must be \(3, 4\) here"):
        place(other, head=True)


def test_all_differences_stand_in_one_error():
    nan = np.array([1, np.nan, 2, 3], np.float32)
    found = arrays(conv__weight=np.zeros((4, 3, 3, 3)), bn__weight=None, bn__running_mean=nan, more=np.zeros(1))
    with pytest.raises(WeightsError) as error:
        place(found)
    assert str(error.value).splitlines() == [
        "The weights in 'some.file' must have the tensors of this network "
        "(config.model.family, config.model.variant); they differ:",
        "  1 missing: bn.weight",
        "  1 extra: more",
        "  1 wrong: conv.weight (4, 3, 3, 3), must be (4, 3, 2, 2) here",
        "  1 not finite: bn.running_mean",
        "Choose the variant that the file was saved from, or another file.",
    ]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_numbers_must_be_finite(bad):
    with pytest.raises(WeightsError, match="1 not finite: bn.weight"):
        place(arrays(bn__weight=np.array([0, 1, 2, bad])))


def test_another_rank_is_a_wrong_shape():
    with pytest.raises(WeightsError, match=r"1 wrong: conv\.weight \(48,\), must be \(4, 3, 2, 2\) here"):
        place(arrays(conv__weight=np.zeros(48)))


def test_unused_patterns_match_whole_names():
    found = arrays(bn__num_batches_tracked=np.array(7))
    place(found, unused=resnet.UNUSED)
    with pytest.raises(WeightsError, match=r"1 extra: bn\.num_batches_tracked"):
        place(found)
    with pytest.raises(WeightsError, match="1 extra: x.num_batches_tracked.y"):
        place(arrays(**{"x.num_batches_tracked.y": np.zeros(1)}), unused=resnet.UNUSED)


def test_a_parameter_without_a_published_name_is_an_error():
    variables = initial()
    variables["params"]["backbone"]["extra"] = {"scale": full(1)}
    with pytest.raises(WeightsError, match="must cover every parameter; it lacks: backbone/extra/scale"):
        pretrained.place(variables, Published(arrays(), CARD, "some.file"), NAMES)


def test_a_published_name_without_a_parameter_is_an_error():
    variables = initial()
    del variables["batch_stats"]
    with pytest.raises(WeightsError, match=r"bn\.running_mean \(4,\), must be absent here"):
        pretrained.place(variables, Published(arrays(), CARD, "some.file"), NAMES)


def test_place_takes_the_parameters_dtype():
    half = {name: array.astype(np.float16) for name, array in arrays().items()}
    variables, _ = place(half | {"bn.weight": np.array([1, 2, 3, 4], jnp.bfloat16)}, head=True)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    assert variables["params"]["backbone"]["stem"]["bn"]["scale"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("head", [True, False])
def test_place_shares_no_memory_with_what_it_was_given(head):
    before, found = initial(), arrays()
    after, _ = pretrained.place(before, Published(found, CARD, "some.file"), NAMES, head=head)
    given = [*jax.tree.leaves(before), *found.values()]
    for leaf in jax.tree.leaves(after):
        assert not any(np.shares_memory(leaf, array) for array in given)
    jax.tree.map(np.testing.assert_array_equal, before, initial())  # nor was it changed


def test_publish_shares_no_memory_and_inverts_place():
    variables, _ = place(arrays(), head=True)
    back = pretrained.publish(variables, NAMES)
    assert back.keys() == arrays().keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].flags.c_contiguous  # safetensors writes memory as it lies
    assert not any(np.shares_memory(a, leaf) for a in back.values() for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(("wanted", "given"), [("18", "34"), ("34", "18"), ("18", "50"), ("50", "34")])
def test_weights_of_another_variant_are_one_short_error(wanted, given):
    network = Network(resnet.build(wanted), nn.Dense(CLASSES))
    variables = pretrained.shapes(network, np.zeros((1, 32, 32, 3), np.float32))
    other = pretrained.shapes(Network(resnet.build(given), nn.Dense(CLASSES)), np.zeros((1, 32, 32, 3), np.float32))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), other)
    published = Published(pretrained.publish(zeros, resnet.names(given)), CARD, "other.safetensors")
    with pytest.raises(WeightsError) as error:
        pretrained.place(variables, published, resnet.names(wanted))
    lines = str(error.value).splitlines()
    assert "'other.safetensors'" in lines[0] and "config.model.variant" in lines[0]
    assert 3 <= len(lines) <= 5
    names = re.findall(r"  (\d+) (missing|extra|wrong): (.*)", "\n".join(lines))
    assert names
    for number, _, shown in names:  # a wrong architecture has hundreds of names; 20 tell it
        assert int(number) <= pretrained.SHOWN or shown.endswith(f", and {int(number) - pretrained.SHOWN} more")


# Which source


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        ("timm/resnet18.tv_in1k", "hub"),
        ("weights/net.safetensors", "file"),
        ("weights/net.npz", "file"),
        ("weights/net.pth", "file"),
        ("weights/net.BIN", "file"),
        ("net", "file"),
        ("../weights", "file"),
        ("./weights", "file"),
        ("a/b/c", "file"),
        ("/a/b", "file"),
        ("~/weights", "file"),
    ],
)
def test_source_of(spec, source):
    assert pretrained.source_of(spec) == source


def test_a_folder_that_exists_is_no_repository(tmp_path, monkeypatch):
    (tmp_path / "runs" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert pretrained.source_of("runs/model") == "file"


# Files


def saved(path: Path) -> bytes:
    """A whole file of the kind that the suffix says."""
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **arrays())
    else:
        safetensors.numpy.save_file(arrays(), path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", file.SUFFIXES)
def test_read_gives_every_array(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    saved(path)
    published = file.read(str(path), card=CARD)
    assert published.arrays.keys() == arrays().keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(published.arrays[name], array)
    assert (published.card, published.where) == (CARD, str(path))


def test_bfloat16_tensors_are_read(tmp_path):
    safetensors.numpy.save_file({"a": np.array([1, 2.5], jnp.bfloat16)}, tmp_path / "net.safetensors")
    found = file.read(str(tmp_path / "net.safetensors"), card=CARD).arrays["a"]
    assert found.astype(np.float32).tolist() == [1, 2.5]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 46805584\n"
PAGE = b"\n<!DOCTYPE html>\n<html><body>404</body></html>"
FLOAT8 = b'{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'

DAMAGED = {
    "truncated.safetensors": (lambda whole: whole[:-5], "whole safetensors file.*truncated or damaged: fetch it again"),
    "header.safetensors": (lambda whole: whole[:20], r"\(20 bytes\).*truncated or damaged: fetch it again"),
    "short.safetensors": (lambda whole: whole[:5], r"\(5 bytes\).*truncated or damaged: fetch it again"),
    "pointer.safetensors": (lambda _: POINTER, "is a git-LFS pointer, not the file itself: run `git lfs pull`"),
    "page.safetensors": (lambda _: PAGE, "is an HTML or XML page, not weights: the download got an error page"),
    "xml.safetensors": (lambda _: b"<?xml version='1.0'?><Error/>", "is an HTML or XML page"),
    "json.safetensors": (lambda _: b'{"error": "not found"}', "is JSON text, not weights"),
    "pickle.safetensors": (lambda _: pickle.dumps({}), "is a pickle, which is refused because it can run code"),
    "pickle2.safetensors": (lambda _: pickle.dumps({}, 2), "is a pickle, which is refused"),
    "pickle5.safetensors": (lambda _: pickle.dumps({}, 5), "is a pickle, which is refused"),
    "zip.safetensors": (lambda _: b"PK\x03\x04" + bytes(60), r"is a zip archive \(a torch \.pth or an \.npz\)"),
    "empty.safetensors": (lambda _: b"", "is an empty file"),
    "float8.safetensors": (lambda _: len(FLOAT8).to_bytes(8, "little") + FLOAT8 + b"00", "types that numpy knows"),
    "truncated.npz": (lambda whole: whole[:-100], "damaged npz archive.*Fetch it again"),
    "flipped.npz": (lambda whole: whole.replace(np.float32(5).tobytes(), b"abcd"), "damaged npz archive.*CRC"),
    "pointer.npz": (lambda _: POINTER, "is a git-LFS pointer"),
    "page.npz": (lambda _: PAGE, "is an HTML or XML page"),
    "pickle.npz": (lambda _: pickle.dumps({}), "is a pickle, which is refused"),
    "empty.npz": (lambda _: b"", "is an empty file"),
    "npy.npz": (lambda _: b"\x93NUMPY\x01\x00", "is a single .npy array, not an .npz of named ones"),
    "tensors.npz": (lambda _: safetensors.numpy.save(arrays()), "is safetensors: rename it to end in .safetensors"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_or_mistaken_file_is_named(tmp_path, name):
    change, message = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(change(saved(path)))
    with pytest.raises(WeightsError, match=f"(?s)'{re.escape(str(path))}'.*{message}"):
        file.read(str(path), card=CARD)


def test_a_pickle_is_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    for suffix in file.SUFFIXES:
        (tmp_path / f"trap{suffix}").write_bytes(pickle.dumps(Trap()))
        with pytest.raises(WeightsError, match="can run code"):
            file.read(str(tmp_path / f"trap{suffix}"), card=CARD)
    np.savez(tmp_path / "inside.npz", trap=np.array(Trap(), object))
    with pytest.raises(WeightsError, match="can run code"):
        file.read(str(tmp_path / "inside.npz"), card=CARD)
    assert not (tmp_path / "sprung").exists()


def test_an_npz_of_anything_but_numbers_names_all_of_it(tmp_path):
    path = tmp_path / "net.npz"
    np.savez(path, good=np.ones(2), objects=np.array([{}, None], object), text=np.array(["a"]))
    with pytest.raises(WeightsError, match=r"arrays of numbers only .*: objects, text\. Save them with numpy\.savez"):
        file.read(str(path), card=CARD)


def test_another_archive_under_the_name_of_npz(tmp_path):
    with zipfile.ZipFile(tmp_path / "torch.npz", "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps({}))
    with pytest.raises(WeightsError, match=r"arrays of numbers only .*: net/data\.pkl\."):
        file.read(str(tmp_path / "torch.npz"), card=CARD)


def test_an_absent_file_says_how_to_name_one(tmp_path):
    with pytest.raises(WeightsError, match=r"no file '.*gone\.npz'(?s:.*)--config\.model\.weights="):
        file.read(str(tmp_path / "gone.npz"), card=CARD)
    with pytest.raises(WeightsError, match=r"no file '.*model\.safetensors'"):
        file.read(str(tmp_path), card=CARD)


@pytest.mark.parametrize("suffix", [".pth", ".bin", ""])
def test_an_unsupported_suffix_says_what_to_do(tmp_path, suffix):
    (tmp_path / f"net{suffix}").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"must end in \.safetensors or \.npz; got .*convert it with safetensors"):
        file.read(str(tmp_path / f"net{suffix}"), card=CARD)


def test_a_file_that_cannot_be_opened(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    saved(path)

    def refuse(*_, **__):
        raise PermissionError("denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=r"'.*net\.safetensors' cannot be read: denied"):
        file.read(str(path), card=CARD)


# Cards


def test_the_card_beside_the_file_wins_over_the_one_given(tmp_path):
    path = tmp_path / "net.v1.safetensors"
    saved(path)
    beside = Card(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0), channel_order="BGR", classes=3)
    (tmp_path / "net.v1.card.json").write_text(json.dumps(beside.as_dict()))
    assert file.read(str(path), card=CARD).card == beside
    assert file.read_card(str(path)) == beside


def test_the_folder_of_a_run_is_read_with_its_card(tmp_path, monkeypatch):
    saved(tmp_path / "model.safetensors")
    (tmp_path / "card.json").write_text(json.dumps(CARD.as_dict()))
    assert file.read(str(tmp_path)).card == CARD
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert file.read(f"~/{tmp_path.name}").card == CARD


def test_card_json_speaks_for_a_folder_not_for_a_file_in_it(tmp_path):
    saved(tmp_path / "model.safetensors")
    (tmp_path / "card.json").write_text(json.dumps(CARD.as_dict()))
    with pytest.raises(WeightsError, match="Nothing says how pixels must be scaled"):
        file.read(str(tmp_path / "model.safetensors"))


def test_without_a_card_the_keys_and_the_place_for_one_are_named(tmp_path):
    path = tmp_path / "net.npz"
    saved(path)
    with pytest.raises(WeightsError, match=r"config\.model\.card\.mean and config\.model\.card\.std.*net\.card\.json"):
        file.read(str(path))


def test_a_damaged_file_without_a_card_is_one_error_of_both(tmp_path):
    (tmp_path / "net.npz").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"is an empty file(?s:.*)Nothing says how pixels must be scaled"):
        file.read(str(tmp_path / "net.npz"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "has no attribute"),
        ('{"mean": [0.5]}', "missing 1 required positional argument: 'std'"),
        ('{"mean": [0.5], "std": [1], "colour": "RGB"}', "unexpected keyword argument 'colour'"),
        ('{"mean": [0.5], "std": [1, 2]}', "numbers per channel"),
        ('{"mean": [0.5], "std": [0]}', "std not 0"),
        ('{"mean": [NaN], "std": [1]}', "numbers per channel"),
        ('{"mean": ["x"], "std": [1]}', "could not convert string to float: 'x'"),
    ],
)
def test_a_card_that_cannot_be_used_is_named(tmp_path, text, message):
    path = tmp_path / "net.safetensors"
    saved(path)
    (tmp_path / "net.card.json").write_text(text)
    with pytest.raises(WeightsError, match=rf"The card '.*net\.card\.json' must be JSON .*{message}"):
        file.read(str(path), card=CARD)


# Random starts


class Tiny(nn.Module):
    """A backbone of one layer."""

    @nn.compact
    def __call__(self, x, mode, *, start=None, stop=None):
        return nn.Dense(4, name="stem")(x)


TINY = Network(Tiny(), nn.Dense(CLASSES))
TINY_NAMES = (
    Name("stem.weight", "params", "backbone/stem/kernel", "dense"),
    Name("stem.bias", "params", "backbone/stem/bias"),
    *NAMES[-2:],
)
EXAMPLE = np.zeros((1, 2), np.float32)


def test_init_is_fixed_by_the_seed_and_lies_on_the_host():
    one, same, other = (pretrained.init(TINY, EXAMPLE, seed=seed) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    for path in ("backbone/stem/kernel", "head/kernel"):
        assert not np.array_equal(flatten(one["params"])[path], flatten(other["params"])[path])
    assert {type(leaf) for leaf in jax.tree.leaves(one)} == {np.ndarray}


def test_what_is_drawn_does_not_depend_on_what_else_is_drawn():
    whole = flatten(pretrained.init(TINY, EXAMPLE, seed=1)["params"])
    part = flatten(pretrained.init(TINY, EXAMPLE, seed=1, only=["head/kernel"])["params"])
    assert part.keys() == {"head/kernel"}
    np.testing.assert_array_equal(part["head/kernel"], whole["head/kernel"])


def test_start_takes_the_published_backbone_and_draws_the_head():
    found = {"stem.weight": np.ones((4, 2), np.float32), "stem.bias": np.ones(4, np.float32)}
    published = Published(found, CARD, "some.file")
    variables, kept = pretrained.start(TINY, EXAMPLE, seed=1, published=published, names=TINY_NAMES)
    leaves, drawn = flatten(variables["params"]), flatten(pretrained.init(TINY, EXAMPLE, seed=1)["params"])
    assert set(kept) == {"head/kernel", "head/bias"}
    np.testing.assert_array_equal(leaves["backbone/stem/kernel"], np.ones((2, 4)))
    np.testing.assert_array_equal(leaves["head/kernel"], drawn["head/kernel"])


def test_start_without_weights_draws_all_and_says_so():
    variables, kept = pretrained.start(TINY, EXAMPLE, seed=1)
    jax.tree.map(np.testing.assert_array_equal, variables, pretrained.init(TINY, EXAMPLE, seed=1))
    assert set(kept) == set(flatten(variables["params"]))
