"""One run in several processes is the run of one: curves, checkpoints, signals, errors. Loopback only."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from outside import processes

ROOT = Path(__file__).parents[2]


def start(count, folder, kind, *, devices=2):
    """So many processes, each with two devices, of what `processes.runs` calls `kind`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",  # the last one wins
        "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    folder.mkdir(parents=True, exist_ok=True)
    started = []
    for index in range(count):
        place = f"127.0.0.1:{port},{index},{count}"
        words = [str(ROOT / "tests/outside/processes.py"), place, str(folder), kind]
        with (folder / f"process{index}.out").open("w") as out:
            one = subprocess.Popen([sys.executable, *words], env=environment, stdout=out, stderr=out, cwd=ROOT)
        started.append(one)
    return started


def said(folder, index):
    return (folder / f"process{index}.out").read_text()


def wait(started, folder, seconds=150):
    try:
        return [one.wait(seconds) for one in started]
    except subprocess.TimeoutExpired as error:
        [one.kill() for one in started]
        raise AssertionError("\n".join(said(folder, i)[-3000:] for i in range(len(started)))) from error


def rows(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if isinstance(v, float) and k in ("loss", "accuracy")} for row in lines]


def compare(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The runs in this process, on its four devices."""
    folder = tmp_path_factory.mktemp("alone")
    assert processes.main("", folder) == 0
    return folder


def test_two_processes_give_the_run_of_one(alone, tmp_path):
    count = 2
    started = start(count, tmp_path, "all")
    assert wait(started, tmp_path) == [0] * count, said(tmp_path, 0)[-2000:] + said(tmp_path, 1)[-2000:]
    assert f"all {count}" in said(tmp_path, 0) and "result" not in said(tmp_path, 1)
    for name, _ in processes.experiments(tmp_path):
        found, expected = (json.loads((f / name / "result.json").read_text()) for f in (tmp_path, alone))
        for part, values in expected["metrics"].items():
            assert found["metrics"][part] == pytest.approx(values, rel=1e-3, abs=1e-4), (name, part)
        if name != "fitted":
            compare(rows(tmp_path / name)[:8], rows(alone / name)[:8])
    assert "in the memory of each process" in said(tmp_path, 0)
    budget = json.loads((tmp_path / "norms" / "budget.json").read_text())
    assert budget["steps"] == budget["wanted"] and f"{budget['wanted']} steps fit" in said(tmp_path, 0)
    written = {p.name for p in (tmp_path / "phases" / "checkpoints" / "latest").rglob("ocdbt.process_*")}
    assert written == {f"ocdbt.process_{i}" for i in range(count)}  # each process wrote its parts
    found, expected = (json.loads((f / "asked.json").read_text()) for f in (tmp_path, alone))
    assert found["scores"] == pytest.approx(expected["scores"], rel=1e-3, abs=1e-4)
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-4)


def test_a_signal_to_one_saves_the_step_of_all_and_another_number_of_processes_goes_on(tmp_path):
    started, log = start(2, tmp_path, "long"), tmp_path / "long" / "metrics.jsonl"
    while not (log.exists() and log.read_text().count("\n") > 8) and all(one.poll() is None for one in started):
        time.sleep(0.05)
    began = time.monotonic()
    started[1].send_signal(signal.SIGTERM)
    assert wait(started, tmp_path) == [143, 143], said(tmp_path, 0)[-2000:]
    assert time.monotonic() - began < 30
    stopped = max(int(step.name) for step in (tmp_path / "long" / "checkpoints" / "latest").iterdir())
    assert f"stopped by SIGTERM after step {stopped}, which is saved" in said(tmp_path, 0)
    assert 0 < stopped < 50 and "Traceback" not in said(tmp_path, 0) + said(tmp_path, 1)
    assert processes.main("", tmp_path, "long") == 0  # in this process, on four devices
    assert processes.main("", tmp_path / "whole", "long") == 0
    found, whole = rows(tmp_path / "long"), rows(tmp_path / "whole" / "long")
    compare(found[: stopped + 5], whole[: stopped + 5])
    assert len(found) == len(whole)


def test_an_error_of_one_process_ends_all_with_its_words(tmp_path):
    began = time.monotonic()
    started = start(2, tmp_path, "failing")
    assert wait(started, tmp_path) == [4, 4]
    assert time.monotonic() - began < 100
    assert "error: process 1 ended the run: " in said(tmp_path, 0) and "nowhere.safetensors" in said(tmp_path, 0)
    assert "nowhere.safetensors" in said(tmp_path, 1) and "Traceback" not in said(tmp_path, 0) + said(tmp_path, 1)
    assert not (tmp_path / "failing" / "result.json").exists()
