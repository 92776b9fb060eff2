"""TensorBoard's file: every scalar under its name and step; a disk that is full leaves no second error behind."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from tljax.reporting.writers.tensorboard import Events


def read(file: Path) -> list[Event]:
    """The records of a file: length (8 bytes), its checksum (4), data, its checksum (4)."""
    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def test_scalars_stand_under_their_names_and_steps(tmp_path):
    events = Events(tmp_path, step=7)
    events.scalar("train/loss", 0.25, 7)
    events.scalar("lr/head", 1e-3, 9)
    events.close()
    (file,) = tmp_path.glob("events.out.tfevents.*")
    version, start, *rows = read(file)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (7, SessionLog.START)  # earlier files end before it
    assert [(e.step, v.tag, v.simple_value) for e in rows for v in e.summary.value] == [
        (7, "train/loss", 0.25),
        (9, "lr/head", pytest.approx(1e-3)),
    ]


def test_two_of_one_second_are_two_files(tmp_path):
    for _ in range(2):
        Events(tmp_path, step=1).close()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_says_nothing_more_at_the_end(tmp_path):
    code = (
        "import sys; from pathlib import Path; import tensorboardX.record_writer as r\n"
        "r.open_file = lambda path: open('/dev/full', 'wb')\n"
        "from tljax.reporting.writers.tensorboard import Events\n"
        "events = Events(Path(sys.argv[1]), step=1); events.scalar('a', 1.0, 1); events.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
