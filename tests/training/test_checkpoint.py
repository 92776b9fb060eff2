import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import optax
import pytest

from tests.small import bits
from tljax.core.errors import WeightsError
from tljax.training.checkpoints import checkpoint, checksums
from tljax.training.checkpoints.checkpoint import Progress, opened
from tljax.training.train_state import TrainState


def make_state(step, *, width=3):
    """A state with everything in it that is awkward to store: empty nodes, scalars, bool, uint32, -0.0."""
    rng = np.random.default_rng(step)
    params = {
        "backbone": {"a": {"kernel": rng.normal(size=(4, width)).astype(np.float32)}},
        "head": {"bias": np.full(2, -0.0, np.float32)},
    }
    tx = optax.multi_transform({"a": optax.adam(0.1)}, {"backbone": "a", "head": optax.MaskedNode()})
    learns = {"backbone": params["backbone"], "head": {"bias": optax.MaskedNode()}}
    opt_state = tx.init({"backbone": learns["backbone"], "head": optax.MaskedNode()})
    opt_state = optax.tree.map_params(tx, lambda x: x + np.float32(step), opt_state)
    stats = {"batch_stats": {"backbone": {"mean": rng.normal(size=5).astype(np.float32)}}}
    return TrainState(np.int32(step), np.array([0, 7], np.uint32), params, stats, opt_state)


def template(step):
    return make_state(0)


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    state, progress = make_state(5), Progress(best=0.5, best_step=3, since_best=2, seconds=1.25)
    with opened(tmp_path) as checkpoints:
        checkpoints.save("latest", state, progress)
    with opened(tmp_path) as checkpoints:
        restored, found = checkpoints.restore("latest", template)
    assert bits(restored) == bits(state) and len(bits(state)) == 8
    assert found == progress
    assert restored.rng.dtype == np.uint32 and restored.step.shape == ()


def test_progress_that_is_not_finite_comes_back(tmp_path):
    with opened(tmp_path) as checkpoints:
        checkpoints.save("latest", make_state(1), Progress())
        assert checkpoints.restore("latest", template)[1] == Progress()


def test_the_latest_are_kept_and_the_best_apart(tmp_path):
    with opened(tmp_path, keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save("latest", make_state(step), Progress())
            if step < 3:
                checkpoints.save("best", make_state(step), Progress())
        assert checkpoints.steps("latest") == [2, 3]
        assert checkpoints.steps("best") == [2]
        assert int(checkpoints.restore("best", template)[0].step) == 2


def test_the_last_one_from_before_the_loss_ran_away_stays(tmp_path):
    with opened(tmp_path) as checkpoints:
        for step in range(1, 7):
            checkpoints.save("latest", make_state(step), Progress(ran_away=0 if step < 5 else 3))
        assert checkpoints.steps("latest") == [3, 5, 6]


def test_nothing_saved_is_none(tmp_path):
    with opened(tmp_path) as checkpoints:
        assert checkpoints.restore("latest", template) is None


def save_two(folder):
    with opened(folder) as checkpoints:
        for step in (1, 2):
            checkpoints.save("latest", make_state(step), Progress())


def data_files(folder, step):
    files = [p for p in (folder / "latest" / str(step)).rglob("*") if p.is_file()]
    return sorted(files, key=lambda path: -path.stat().st_size)


def flip_bits(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for i in range(len(content) // 3, len(content), max(1, len(content) // 7)):
        content[i] ^= 1
    path.write_bytes(bytes(content))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [flip_bits, truncate, Path.unlink])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, harm):
    """Whatever file of the newest is harmed: either it is still whole, bit for bit, or it is not used."""
    save_two(tmp_path / "clean")
    fell_back = 0
    for number in range(len(data_files(tmp_path / "clean", 2))):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "clean", folder)  # the number of files differs from save to save
        harm(data_files(folder, 2)[number])
        with opened(folder) as checkpoints, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            restored, _ = checkpoints.restore("latest", template)
            assert bits(restored) == bits(make_state(int(restored.step)))
            if int(restored.step) == 1:
                fell_back += 1
                assert any("step 2" in str(w.message) for w in said)
                assert checkpoints.steps("latest") == [1]
                checkpoints.save("latest", make_state(2), Progress())  # the run gets there again
                assert int(checkpoints.restore("latest", template)[0].step) == 2
    assert fell_back >= 2


def test_all_damaged_is_an_error(tmp_path):
    save_two(tmp_path)
    for step in (1, 2):
        for path in data_files(tmp_path, step):
            truncate(path)
    with opened(tmp_path) as checkpoints, pytest.raises(WeightsError, match=r"step 2: (.|\n)*step 1: (.|\n)*--workdir"):
        checkpoints.restore("latest", template)


@pytest.mark.parametrize("wrong", ["shape", "leaf"])
def test_another_network_is_refused(tmp_path, wrong):
    """Orbax alone would pad or cut a wrong shape without a word."""
    save_two(tmp_path)

    def other(step):
        state = make_state(0, width=4) if wrong == "shape" else make_state(0)
        return state if wrong == "shape" else state.replace(params={**state.params, "more": np.zeros(2)})

    with opened(tmp_path) as checkpoints, pytest.raises(WeightsError, match="No checkpoint in"):
        checkpoints.restore("latest", other)
    assert len(json.dumps(sorted(p.name for p in (tmp_path / "latest").iterdir()))) > 2  # nothing was deleted


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    with opened(tmp_path) as checkpoints:

        def full(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(checkpoints._managers["latest"], "save", full)
        with pytest.raises(WeightsError, match="step 1 could not be written.*No space left"):
            checkpoints.save("latest", make_state(1), Progress())
    with opened(tmp_path / "late") as checkpoints:
        monkeypatch.setattr(Path, "write_text", full)  # the checksums, which come last
        with pytest.raises(WeightsError, match="step 1 could not be written.*the disk is full"):
            checkpoints.save("latest", make_state(1), Progress())


def test_a_checkpoint_that_a_kill_cut_off_was_never_saved(tmp_path):
    """Between orbax's commit and the checksums: nothing is lost but that checkpoint."""
    save_two(tmp_path)
    (tmp_path / "latest" / "2" / "checksums.json").unlink()
    with opened(tmp_path) as checkpoints, pytest.warns(UserWarning, match="step 2 is incomplete"):
        assert int(checkpoints.restore("latest", template)[0].step) == 1
    (tmp_path / "latest" / "1" / "checksums.json").unlink()
    with opened(tmp_path) as checkpoints, pytest.warns(UserWarning, match="step 1 is incomplete"):
        assert checkpoints.restore("latest", template) is None


@pytest.mark.parametrize("text", ["{", "[]", "[1]", "3", '"ab"'])
def test_checksums_that_are_none_are_damage(tmp_path, text):
    save_two(tmp_path)
    (tmp_path / "latest" / "2" / "checksums.json").write_text(text)
    with opened(tmp_path) as checkpoints, pytest.warns(UserWarning, match="A damaged checkpoint is left out"):
        assert int(checkpoints.restore("latest", template)[0].step) == 1


@pytest.mark.parametrize("harm", [flip_bits, Path.unlink])
def test_saving_again_mends_what_is_not_whole(tmp_path, harm):
    save_two(tmp_path)
    harm(data_files(tmp_path, 2)[0])
    with opened(tmp_path) as checkpoints:
        checkpoints.save("latest", make_state(2), Progress())
        assert int(checkpoints.restore("latest", template)[0].step) == 2


def test_a_future_is_forgotten(tmp_path):
    save_two(tmp_path)
    with opened(tmp_path) as checkpoints:
        checkpoints.forget("latest", after=1)
        assert checkpoints.steps("latest") == [1]


def test_the_old_one_goes_when_the_new_one_is_whole(tmp_path, monkeypatch):
    """A kill while the checksums are computed: with one kept, nothing would be left otherwise."""
    with opened(tmp_path, keep=1) as checkpoints:
        checkpoints.save("latest", make_state(1), Progress())
        with monkeypatch.context() as patched:
            patched.setattr(checksums, "of", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                checkpoints.save("latest", make_state(2), Progress())
    with opened(tmp_path, keep=1) as checkpoints:
        with pytest.warns(UserWarning, match="step 2 is incomplete"):
            assert int(checkpoints.restore("latest", template)[0].step) == 1
        checkpoints.save("latest", make_state(3), Progress())
        assert checkpoints.steps("latest") == [3]


def test_all_is_on_disk_before_it_counts(tmp_path, monkeypatch):
    """Files and folders are synced before the checksums, which make a checkpoint one, are moved into place."""
    order, fsync, replace = [], os.fsync, Path.replace

    def noting(number):
        order.append(os.readlink(f"/proc/self/fd/{number}"))
        fsync(number)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append(f"-> {to}"), replace(self, to))[1])
    with opened(tmp_path) as checkpoints:
        checkpoints.save("latest", make_state(1), Progress())
    folder = tmp_path / "latest" / "1"
    counts = order.index(f"-> {folder / 'checksums.json'}")
    synced = set(order[:counts])
    written = [path for path in folder.rglob("*") if path.name != "checksums.json"]
    assert {str(path) for path in [folder, *written]} <= synced
    assert any(name.startswith(str(folder / "checksums.json.part")) for name in synced)
    assert str(folder) in order[counts:]


def test_one_of_a_later_version_is_named_as_that(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "__version__", "99.1.0")
    save_two(tmp_path)
    monkeypatch.undo()
    with opened(tmp_path) as checkpoints, pytest.raises(WeightsError, match=r"step 2: .*written by tljax 99\.1\.0"):
        checkpoints.restore("latest", template)


def test_a_disk_without_room_is_found_before_the_first_step(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=4 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with opened(tmp_path, keep=2) as checkpoints:
        checkpoints.check_room(2**20, best=True)  # two, the best, and the new one
        with pytest.raises(WeightsError, match=r"room for the checkpoints: 4 of 1\.1 MiB; 4\.0 MiB are free"):
            checkpoints.check_room(11 * 2**20 // 10, best=True)
        checkpoints.save("latest", make_state(1), Progress())
        checkpoints.check_room(11 * 2**20 // 10, best=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a limit on the size of files is Unix's")
def test_a_full_disk_is_one_error_without_other_libraries_tracebacks(tmp_path):
    code = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from tljax.core.errors import WeightsError
from tljax.training.checkpoints import checkpoint
from tljax.training.checkpoints.checkpoint import Progress, opened
from tljax.training.train_state import TrainState
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
state = TrainState(np.int32(1), np.zeros(2, np.uint32), {"a": np.random.normal(size=10**6)}, {}, ())
with opened(Path(sys.argv[1])) as checkpoints:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))
    try:
        checkpoints.save("latest", state, Progress())
    except WeightsError as error:
        print(f"error: {error}", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stderr.startswith("error: The checkpoint at step 1 could not be written"), done.stderr
    assert len(done.stderr.splitlines()) == 1
