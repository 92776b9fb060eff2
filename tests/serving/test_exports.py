"""`tljax export`: the network of a run in every format, equal to the live one; a round trip is exact."""

import dataclasses
import datetime
import json
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import PIL.Image
import pytest
import safetensors.numpy

from tests import small
from tljax.__main__ import main
from tljax.core.errors import ConfigError
from tljax.core.trees import unflatten
from tljax.networks import pooling
from tljax.networks.families import mobilenet
from tljax.runs.run import run
from tljax.serving import exports, onnx_export, saved_model, snippets
from tljax.tasks.classification import outputs as softmax
from tljax.weights import placement, pretrained

CONFIG = 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the run's folder, what is in it, pictures, their probabilities)"""
    root = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        run(small.photographs(root / "pictures", monkeypatch), root / "run")
        model = saved_model.load(root / "run")
        images = np.random.default_rng(1).integers(0, 256, (5, *model.stored), np.uint8)
        probabilities = softmax(np.asarray(jax.jit(model.logits)(model.variables, {"image": images})))
        assert probabilities.std() > 0.01
        yield root / "run", model, images, probabilities


def export(folder, to, out):
    assert main(["export", str(folder), f"--to={to}", f"--out={out}"]) == 0
    return out


def placed(model, file):
    """The variables that an exported file gives."""
    published = pretrained.read(str(file), card=None, lock=file)
    empty = placement.shapes(model.network, np.zeros((1, 24, 24, 3), np.float32))
    variables, kept = placement.place(empty, published, model.names, head=True)
    assert kept == ()
    return published, variables


@pytest.mark.parametrize(("to", "suffix"), [("safetensors-torch", ".safetensors"), ("npz", ".npz")])
def test_published_names_come_back_exactly_with_their_card(trained, tmp_path, to, suffix):
    folder, model, _, _ = trained
    published, variables = placed(model, export(folder, to, tmp_path / f"net{suffix}"))
    assert small.bits(variables) == small.bits(model.variables)
    assert published.arrays["fc.weight"].shape == (3, 16) and published.arrays["conv1.weight"].shape == (8, 3, 7, 7)
    assert (published.card.mean, published.card.file) == ((0.5, 0.4, 0.3), f"net{suffix}")


def test_the_flax_tree_comes_back_exactly(trained, tmp_path):
    folder, model, images, probabilities = trained
    arrays = safetensors.numpy.load_file(export(folder, "safetensors-flax", tmp_path / "net.safetensors"))
    assert "params.backbone.stem.conv.kernel" in arrays and "batch_stats.backbone.stem.bn.mean" in arrays
    variables = unflatten({name.replace(".", "/"): array for name, array in arrays.items()})
    assert small.bits(variables) == small.bits(model.variables)
    np.testing.assert_array_equal(
        softmax(np.asarray(jax.jit(model.logits)(variables, {"image": images}))), probabilities
    )


def test_stablehlo_runs_any_batch_on_all_platforms(trained, tmp_path):
    folder, _, images, probabilities = trained
    program = jax.export.deserialize(export(folder, "stablehlo", tmp_path / "net.stablehlo").read_bytes())
    assert program.platforms == ("cpu", "cuda", "rocm", "tpu")
    for batch in (images, images[:1], images[[0] * 33]):
        found = softmax(np.asarray(jax.jit(program.call)(batch)))
        np.testing.assert_allclose(found, probabilities[: len(batch)] if len(batch) < 9 else probabilities[[0] * 33],
                                   rtol=0, atol=1e-6)  # fmt: skip
    with pytest.raises(ValueError, match="uint8"):
        program.call(images.astype(np.float32))


def test_stablehlo_needs_nothing_of_ours(trained, tmp_path):
    folder, _, images, probabilities = trained
    file = export(folder, "stablehlo", tmp_path / "net.stablehlo")
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys, pathlib, jax, numpy as np; here = pathlib.Path(sys.argv[1]);"
        "program = jax.export.deserialize((here / 'net.stablehlo').read_bytes());"
        "logits = program.call(np.load(here / 'images.npy'));"
        "np.save(here / 'found.npy', jax.nn.softmax(logits));"
        "assert not any(name.startswith(('tljax', 'flax')) for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=tmp_path)
    assert json.loads(file.with_suffix(".json").read_text())["input"] == {
        "resize": 20, "crop": 16, "size": 24, "channels": 3
    }  # fmt: skip
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), probabilities, rtol=0, atol=1e-6)


def test_the_program_is_plain_lax(trained, tmp_path):
    """No CPU form of ops.py in it: 1x1 convolutions stay convolutions, max-pooling a reduce_window."""
    folder, _, _, _ = trained
    program = jax.export.deserialize(export(folder, "stablehlo", tmp_path / "net.stablehlo").read_bytes())
    text = program.mlir_module()
    # The stem, two blocks of two, a shortcut: jax writes a convolution out for every platform.
    assert text.count("stablehlo.convolution(") == 6 * len(exports.PLATFORMS)
    assert "stablehlo.reduce_window" in text


def test_a_file_goes_below_the_run_unless_named(trained, capsys):
    folder, model, _, _ = trained
    assert main(["export", str(folder), "--to=npz"]) == 0
    wrote = [folder / "export" / name for name in ("npz.npz", "npz.card.json", "npz.json", "npz_load.py")]
    assert capsys.readouterr().out.splitlines()[:4] == [str(file) for file in wrote]
    assert sorted(file.name for file in (folder / "export").iterdir()) == sorted(file.name for file in wrote)
    said = json.loads(wrote[2].read_text())
    assert (said["family"], said["variant"], said["classes"]) == ("resnet", "tiny", list(model.classes))


def test_what_tensors_do_not_show_is_said(trained):
    _, model, _, _ = trained
    timms = dataclasses.replace(mobilenet.VARIANTS["v3_small"], epsilon=1e-5, padding="same")
    said = "not quite a mobilenet 'v3_small': epsilon 1e-05, not 0.001; padding 'same', not 'half'. Build it so where"
    of_timm = dataclasses.replace(model, family="mobilenet", variant=timms)
    for to in ("safetensors-torch", "npz"):
        assert [note[: len(said)] for note in exports.notes(of_timm, to)] == [said]
    assert exports.notes(of_timm, "stablehlo") == ()  # it holds the program
    assert exports.notes(dataclasses.replace(of_timm, variant="v3_small"), "npz") == ()
    of_texts = dataclasses.replace(model, family="bert", variant="tiny_mean")
    assert "none of its classes classifies" in exports.notes(of_texts, "npz")[0]
    assert exports.notes(dataclasses.replace(of_texts, variant="tiny_pooler"), "npz") == ()
    assert exports.notes(dataclasses.replace(of_texts, classes=()), "npz") == ()  # a masked language model's


@pytest.mark.parametrize("to", list(exports.FORMATS))
def test_python_that_loads_a_file_lies_beside_it_and_is_printed(trained, tmp_path, capsys, to):
    folder, model, images, probabilities = trained
    if to == "onnx":
        _needs_jax2onnx()
    suffix, _ = exports.format_of(to)
    assert main(["export", str(folder), f"--to={to}", f"--out={tmp_path / f'net{suffix}'}"]) == 0
    text = (tmp_path / "net_load.py").read_text()
    assert capsys.readouterr().out.endswith(f"\n{text}") and repr(list(model.classes)) in text
    if to == "safetensors-torch":  # other programs' packages
        compile(text, "net_load.py", "exec")
        return
    loaded = runpy.run_path(str(tmp_path / "net_load.py"))
    if to == "onnx":
        picture = folder.parent / "pictures" / "test" / "ant" / "0.png"
        expected = jax.jit(model.logits)(model.variables, {"image": model.asked.read(picture)[None]})
        found = loaded["logits"](PIL.Image.open(picture))  # its second resizing is PIL's, not JAX's
        np.testing.assert_allclose(softmax(found), softmax(np.asarray(expected)), atol=0.01)
    elif to == "stablehlo":
        found = softmax(np.asarray(loaded["program"].call(images)))
        np.testing.assert_allclose(found, probabilities, rtol=0, atol=1e-6)
        assert f"until {snippets.until()}" in text
    else:
        assert len(loaded["arrays"]) == len(jax.tree.leaves(model.variables))


def test_six_months_end_on_a_day_that_there_is():
    dates = [snippets.until(datetime.date(2026, *day)) for day in ((1, 31), (8, 31), (11, 29))]
    assert list(map(str, dates)) == ["2026-07-28", "2027-02-28", "2027-05-28"]


def _needs_jax2onnx():
    with onnx_export._quiet():
        pytest.importorskip("onnxruntime", reason=f"onnxruntime is not installed: {onnx_export.INSTALL}")
        pytest.importorskip("jax2onnx", reason=f"jax2onnx is not installed: {onnx_export.INSTALL}")


def test_onnx_gives_the_networks_logits_of_the_runs_own_pictures(trained, tmp_path, capsys):
    """A ResNet: max-pooling, and BatchNorm on both sides of a sum."""
    _needs_jax2onnx()
    folder, model, images, _ = trained
    file = tmp_path / "net.onnx"
    assert main(["export", str(folder), "--to=onnx", f"--out={file}"]) == 0
    assert "gives the logits of 15 pictures; the largest difference is " in capsys.readouterr().out
    onnx_export.check(model, file, images)
    damaged = dataclasses.replace(model, variables=jax.tree.map(lambda x: x * np.float32(1.01), model.variables))
    with pytest.raises(ConfigError, match="the file must give the network's logits; of 5 pictures they differ by up"):
        onnx_export.check(damaged, file, images)


def test_onnx_that_does_not_verify_is_not_kept(trained, tmp_path, capsys, monkeypatch):
    _needs_jax2onnx()
    monkeypatch.setattr(pooling, "sliced_max_pool", pooling.lax_max_pool)  # the node that onnxruntime refuses
    assert main(["export", str(trained[0]), "--to=onnx", f"--out={tmp_path / 'net.onnx'}"]) == CONFIG
    assert "onnxruntime does not run what jax2onnx wrote of this resnet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "out", "said"),
    [
        (
            "torch",
            "x.pt",
            "must be one of safetensors-torch, safetensors-flax, npz, stablehlo, onnx; got 'torch'.",
        ),
        ("npz", "x.safetensors", "--out must be a file that ends in .npz for --to=npz; got "),
        ("onnx", "x.bin", "--out must be a file that ends in .onnx for --to=onnx; got "),
    ],
)
def test_mistakes_write_nothing(trained, tmp_path, capsys, to, out, said):
    assert main(["export", str(trained[0]), f"--to={to}", f"--out={tmp_path / out}"]) == CONFIG
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_a_flatbuffer_cannot_hold_is_an_error(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exports, "LARGEST", 1000)
    assert main(["export", str(trained[0]), "--to=stablehlo", f"--out={tmp_path / 'x.stablehlo'}"]) == CONFIG
    assert "--to=stablehlo holds at most 1,000 bytes of weights; these are " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "outputs", "said"),
    [
        (SimpleNamespace(LABEL_KIND="classes"), [[1.0, 3.0]], "right"),
        (SimpleNamespace(LABEL_KIND="sets"), [[0.0, 100.0]], "{'left': 0.5, 'right': 1.0}"),
        (SimpleNamespace(LABEL_KIND="numbers", mean=(5.0, 0.0), std=(2.0, 1.0)), [[1.0, 3.0]], "{'left': 7.0, 'right': 3.0}"),  # noqa: E501
        (SimpleNamespace(LABEL_KIND="maps"), [[[[1.0, 3.0], [3.0, 1.0]]]], "[[[1 0]]]"),
    ],
)  # fmt: skip
def test_the_snippets_answer_is_of_the_kind_of_labels(task, outputs, said, capsys):
    line = snippets._answer(SimpleNamespace(task=task), "outputs")
    exec(line, {"np": np, "CLASSES": ["left", "right"], "outputs": np.array(outputs)})
    assert re.sub(r"np.float64\(([\d.]+)\)", r"\1", capsys.readouterr().out.strip()) == said
