"""A signal ends work at once, or at the next poll where it is held; handlers that were there are called too."""

import os
import signal
import time

import pytest

from tljax import cli
from tljax.core import signals


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_what_is_not_held_with_the_shells_code(number, code, capsys):
    before = signal.getsignal(number)

    def work():
        send(number)
        time.sleep(5)
        pytest.fail("it went on")

    assert cli.guarded(work) == code
    name = signal.Signals(number).name
    assert capsys.readouterr().err.startswith(f"stopped by {name}; the same command starts again")
    assert signal.getsignal(number) is before


def test_held_work_goes_on_until_it_polls():
    done = []

    def work():
        send(signal.SIGTERM)
        send(signal.SIGINT)  # within the grace: the first one decides
        done.append("after the signal")
        signals.poll()
        done.append("after the poll")

    with signals.watched(), pytest.raises(signals.Stopped, match="SIGTERM"), signals.held():
        work()
    assert done == ["after the signal"]
    with signals.watched(), pytest.raises(signals.Stopped, match="SIGTERM"), signals.held():
        send(signal.SIGTERM)  # never polled: raised at the end
    signals.poll()  # nothing is left of it


def test_a_signal_to_save_ends_nothing():
    with signals.watched():
        assert not signals.save_asked()
        send(signal.SIGUSR1)
        signals.poll()
        assert signals.save_asked() and not signals.save_asked()


def test_handlers_that_were_there_are_called_and_ignored_signals_stay_so():
    called = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: called.append(number))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        with signals.watched():
            send(signal.SIGUSR1)
            send(signal.SIGHUP)
            assert signals.save_asked() and called == [signal.SIGUSR1]
        send(signal.SIGUSR1)
        assert called == [signal.SIGUSR1] * 2
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGHUP, ignored)


def test_no_except_of_errors_takes_it():
    """A suite reports the failure of one row and goes on; a signal ends the suite."""
    assert not issubclass(signals.Stopped, Exception)
