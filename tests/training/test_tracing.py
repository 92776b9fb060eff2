"""Traces of steps: where they are written, that they change nothing, what is refused."""

import pytest
import small

from tljax.core import overrides, settings
from tljax.core.errors import ConfigError
from tljax.runs.run import run
from tljax.training.devices.tracing import FOLDER, Trace


def test_a_run_with_a_trace_is_the_run_without_it_and_a_range_outside_of_it_is_refused(tmp_path, capsys):
    changes = {"report": "none", "train__epochs": 2.0, "train__checkpoint_epochs": 0.5}
    run(small.config(**changes), tmp_path / "plain")
    assert not (tmp_path / "plain" / FOLDER).exists()
    run(small.config(profile="2:3", **changes), tmp_path / "traced")
    (trace,) = (tmp_path / "traced" / FOLDER).rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000
    place = tmp_path / "traced" / FOLDER
    assert f"profile: {place}; to look at it: pip install xprof, xprof --logdir={place}" in capsys.readouterr().out
    assert small.saved_bits(tmp_path / "traced") == small.saved_bits(tmp_path / "plain")
    assert small.losses(tmp_path / "traced").tolist() == small.losses(tmp_path / "plain").tolist()
    with pytest.raises(ConfigError, match=r"--profile=5:9999: the steps must be in the run, which has \d+ "):
        run(small.config(profile="5:9999", **changes), tmp_path / "outside")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("wrong", ["5", "7:5", "0:3", "a:b", "1:2:3", "-1:3"])
def test_what_is_no_range_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"config.profile must be '', or START:STOP"):
        settings.check(overrides.apply(small.config(), [f"profile={wrong}"]))


def test_a_run_that_goes_on_traces_what_is_left(tmp_path, monkeypatch):
    calls, said = [], []
    monkeypatch.setattr("jax.profiler.start_trace", lambda folder: calls.append("start"))
    monkeypatch.setattr("jax.profiler.stop_trace", lambda: calls.append("stop"))

    def steps(first, last):
        trace = Trace("4:6", tmp_path, said.append)
        trace.begun(first - 1)
        for step in range(first, last + 1):
            trace.before(step)
            calls.append(step)
            trace.after(step, 0.0)
        trace.close()
        found, calls[:] = list(calls), []
        return found

    assert steps(5, 8) == ["start", 5, 6, "stop", 7, 8]
    assert steps(1, 5) == [1, 2, 3, "start", 4, 5, "stop"]  # it ended early
    said.clear()
    assert steps(7, 8) == [7, 8]
    assert said == ["profile: steps 4 to 6 were taken before: they are not recorded again"]
