"""torch's checkpoints: only where torch is, only weights, and never in another format's place."""

import builtins
import pickle
from collections import OrderedDict
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tljax.core.errors import WeightsError
from tljax.weights import tensors
from tljax.weights.formats import pth


def test_without_torch_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04")
    true_import = builtins.__import__

    def without(name, *arguments):
        if name == "torch":
            raise ImportError(name)
        return true_import(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WeightsError, match=r"pip install 'tljax\[torch\]'(?s:.*)safetensors\.torch\.save_file"):
        tensors.read(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-LFS pointer"),
        (b"<html>", "is an HTML or XML page"),
        (b"", "is an empty file"),
        (b"\x02" + bytes(7) + b"{}", "is safetensors: rename it to end in .safetensors"),
    ],
)
def test_what_is_no_checkpoint_is_named_without_torch(tmp_path, content, message):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        tensors.read(tmp_path / "net.pth")


# With torch


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")


@pytest.mark.parity
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [None, "model", "state_dict"])
def test_every_tensor_is_read(tmp_path, torch, zipped, wrapped):
    table = OrderedDict(a=torch.arange(6.0).reshape(2, 3).T, b=torch.ones(2, dtype=torch.bfloat16), n=torch.tensor(7))
    saved = {wrapped: table, "epoch": 3, "args": {"lr": 0.1}} if wrapped else table
    torch.save(saved, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    found = tensors.read(tmp_path / "net.pth")
    assert list(found) == ["a", "b", "n"]
    np.testing.assert_array_equal(found["a"], np.arange(6, dtype=np.float32).reshape(2, 3).T)
    assert found["b"].dtype == jnp.bfloat16 and found["b"].tolist() == [1, 1]
    assert found["n"] == 7


@pytest.mark.parity
def test_tensors_of_several_tables_are_told_apart_by_the_tables_names(tmp_path, torch):
    torch.save({"model": {"a": torch.ones(1)}, "ema": {"a": torch.zeros(1)}, "epoch": 1}, tmp_path / "net.pth")
    found = tensors.read(tmp_path / "net.pth")
    assert {name: array.item() for name, array in found.items()} == {"model.a": 1, "ema.a": 0}
    torch.save({"epoch": 1, "nested": {"model": {"a": torch.ones(1)}}}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="or such tables under names; it holds: epoch, nested"):
        tensors.read(tmp_path / "net.pth")


@pytest.mark.parity
@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_is_executed(tmp_path, torch, zipped):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"a": torch.ones(1), "trap": Trap()}, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"only weights(?s:.*)not read in any other way"):
        tensors.read(tmp_path / "net.pth")
    with pytest.raises(WeightsError) as raised:
        tensors.read(tmp_path / "net.pth")
    assert "GLOBAL" in str(raised.value)  # what it holds
    assert "set to `False`" not in str(raised.value)  # torch's advice would run it
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Trap(), 2))
    with pytest.raises(WeightsError, match="only weights"):
        tensors.read(tmp_path / "bare.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parity
def test_a_truncated_checkpoint_is_named(tmp_path, torch):
    torch.save({"a": torch.ones(1000)}, tmp_path / "net.pth")
    (tmp_path / "net.pth").write_bytes((tmp_path / "net.pth").read_bytes()[:-300])
    with pytest.raises(WeightsError, match="must be a whole torch checkpoint"):
        tensors.read(tmp_path / "net.pth")


@pytest.mark.parity
@pytest.mark.parametrize("version", ["2.9.1", "1.13.0+cpu", "2.6.0"])
def test_an_old_torch_is_refused(tmp_path, torch, monkeypatch, version):
    torch.save({"a": torch.ones(1)}, tmp_path / "net.pth")
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(
        WeightsError, match=rf"torch must be 2\.10 or later .* in {version.split('+')[0]}.*CVE-2026-24747"
    ):
        tensors.read(tmp_path / "net.pth")
    assert pth.OLDEST == (2, 10)
