"""Reading files of weights: every array, from every format; what is wrong is named, and nothing is executed."""

import pickle
import re
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from tljax.core.errors import WeightsError
from tljax.weights import tensors

SUFFIXES = (".safetensors", ".npz")


def arrays() -> dict[str, np.ndarray]:
    """Every tensor counts up from 0."""
    shapes = {"conv.weight": (4, 3, 2, 2), "bn.weight": (4,), "fc.weight": (3, 4), "fc.bias": (3,)}
    return {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for name, shape in shapes.items()}


def saved(path: Path) -> bytes:
    """A whole file of the kind that the suffix says."""
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **arrays())
    else:
        safetensors.numpy.save_file(arrays(), path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_read_gives_every_array(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    saved(path)
    found = tensors.read(path)
    assert found.keys() == arrays().keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name], array)


def test_bfloat16_tensors_are_read(tmp_path):
    safetensors.numpy.save_file({"a": np.array([1, 2.5], jnp.bfloat16)}, tmp_path / "net.safetensors")
    found = tensors.read(tmp_path / "net.safetensors")["a"]
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
    "none.safetensors": (lambda _: safetensors.numpy.save({}), "must hold tensors; there is none in it"),
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
        dict(tensors.read(path))


def test_a_pickle_is_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    for suffix in SUFFIXES:
        (tmp_path / f"trap{suffix}").write_bytes(pickle.dumps(Trap()))
        with pytest.raises(WeightsError, match="can run code"):
            tensors.read(tmp_path / f"trap{suffix}")
    np.savez(tmp_path / "inside.npz", trap=np.array(Trap(), object))
    with pytest.raises(WeightsError, match="can run code"):
        tensors.read(tmp_path / "inside.npz")
    assert not (tmp_path / "sprung").exists()


def test_an_npz_of_anything_but_numbers_names_all_of_it(tmp_path):
    path = tmp_path / "net.npz"
    np.savez(path, good=np.ones(2), objects=np.array([{}, None], object), text=np.array(["a"]))
    with pytest.raises(WeightsError, match=r"arrays of numbers only .*: objects, text\. Save them with numpy\.savez"):
        dict(tensors.read(path))


def test_another_archive_under_the_name_of_npz(tmp_path):
    with zipfile.ZipFile(tmp_path / "torch.npz", "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps({}))
    with pytest.raises(WeightsError, match=r"arrays of numbers only .*: net/data\.pkl\."):
        tensors.read(tmp_path / "torch.npz")


def test_a_file_that_cannot_be_opened(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    saved(path)

    def refuse(*_, **__):
        raise PermissionError("denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=r"'.*net\.safetensors' cannot be read: denied"):
        dict(tensors.read(path))


def test_a_safetensors_file_is_mapped_not_read(tmp_path):
    saved(tmp_path / "net.safetensors")
    found = tensors.read(tmp_path / "net.safetensors")
    first = found["conv.weight"]
    assert not first.flags.owndata and not first.flags.writeable
    for name in found:  # asking for others gives its pages back; it is read again, and is as it was
        found[name]
    np.testing.assert_array_equal(first, arrays()["conv.weight"])


def test_empty_and_scalar_tensors_are_read(tmp_path):
    odd = {"scalar": np.array(7, np.int64), "none": np.zeros((0, 3), np.float32), "last": np.ones(1, np.bool_)}
    safetensors.numpy.save_file(odd, tmp_path / "net.safetensors")
    found = tensors.read(tmp_path / "net.safetensors")
    assert {name: (x.shape, x.dtype) for name, x in found.items()} == {n: (x.shape, x.dtype) for n, x in odd.items()}
    assert found["scalar"] == 7 and found["last"].all()


def test_a_name_that_stands_twice_is_refused(tmp_path):
    header = (
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    )
    (tmp_path / "net.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"0")
    with pytest.raises(WeightsError, match="whole safetensors file"):
        tensors.read(tmp_path / "net.safetensors")


def test_a_suffix_that_nobody_reads_is_named(tmp_path):
    (tmp_path / "net.h5").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"must end in \.bin, \.npz, \.pt, \.pth, \.safetensors; got '.*net\.h5'"):
        tensors.read(tmp_path / "net.h5")


def test_a_zip_of_an_unknown_version_is_damaged(tmp_path):
    """zipfile raises NotImplementedError; found by mutated files."""
    np.savez(tmp_path / "a.npz", a=np.ones(2, np.float32))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 152  # the version that is needed, in the central directory
    (tmp_path / "a.npz").write_bytes(bytes(content))
    with pytest.raises(WeightsError, match=r"a\.npz"):
        tensors.read(tmp_path / "a.npz")
