"""Downloads: check whether a server answers, and fetch one file whole and verified."""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from tljax.core.errors import DataError

# A run without a network must say so at once, for data and weights together within 5 seconds.
SECONDS = float(os.environ.get("TLJAX_REACH_SECONDS", "1.5"))
TRIES = 4  # attempts at a download that breaks off
PAUSE = 1.0  # seconds before the next attempt
STALL = 20.0  # seconds without a byte after which a download counts as broken off
CHUNK = 1 << 16  # bytes; a break loses the last, incomplete chunk


def host(url: str) -> str:
    """The host in `url`, with its port if it has one."""
    return urlsplit(url).netloc.rpartition("@")[2]


def unreachable(url: str) -> str:
    """Why the server of `url` cannot be reached; "" if it answers.

    It sends one HEAD request through the proxies of the environment, and gives up after SECONDS. The look-up of a
    name has no time limit, so the request runs in a thread, which is left behind if it hangs. Any answer below 500
    counts: errors about the file itself are reported by the download.
    """
    reasons: list[str] = []
    probe = threading.Thread(target=lambda: reasons.append(_head(url)), daemon=True)
    probe.start()
    probe.join(SECONDS)
    return reasons[0] if reasons else f"no answer within {SECONDS:g} s"


def _head(url: str) -> str:
    try:
        # This time limit ends the thread; by then nobody waits for it any more.
        status = requests.head(url, timeout=2 * SECONDS, allow_redirects=False).status_code
    except requests.exceptions.SSLError:
        return ""  # the server answered; the download checks the certificate, and may trust other roots
    except requests.RequestException as error:
        return reason(error)
    return f"its answer is {status}" if status >= 500 else ""


def reason(error: BaseException) -> str:
    """The first cause of a network error in a few words: "Connection refused"."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def fetch(url: str, path: Path, *, digests: Mapping[str, str]) -> None:
    """Download `url` to `path`. Afterwards the file is whole and has `digests` (algorithm -> hex), or is absent.

    The part of a broken download stays in `<path>.part`; the next download continues it.

    Raises:
      DataError: `path` is another file, or the server refuses, breaks off TRIES times, or sends another file.
    """
    if path.exists():
        if wrong := differences(path, digests):
            raise DataError(
                f"'{path}' must be the published file: {'; '.join(wrong)}.\nDelete it to fetch it from {url}."
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    resumed = part.exists()
    _download(url, part)
    wrong = differences(part, digests)
    if wrong and resumed:  # the kept part may belong to another file: try again from the start
        part.unlink()
        _download(url, part)
        wrong = differences(part, digests)
    if wrong:
        part.unlink()
        raise DataError(
            f"'{path.name}' from {url} must be the published file, and was deleted: {'; '.join(wrong)}.\n"
            "Try again, or fetch it from another mirror."
        )
    os.replace(part, path)


def _download(url: str, part: Path) -> None:
    problem = ""
    for attempt in range(TRIES):
        time.sleep(PAUSE if attempt else 0)
        try:
            return _append(url, part)
        except requests.RequestException as error:
            problem = reason(error)
    size = part.stat().st_size if part.exists() else 0
    raise DataError(
        f"The download of {url} broke off {TRIES} times: {problem}.\n"
        f"{size:,} bytes are kept in '{part}': the same command continues from there."
    )


def _append(url: str, part: Path) -> None:
    """Download the rest of `url` into `part`; from the start if the server cannot continue."""
    have = part.stat().st_size if part.exists() else 0
    # Offsets of an encoded body are not those of the file: ask for the bytes without encoding.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, timeout=STALL, stream=True) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the part is complete; the digests check it
        if not answer.ok:
            status = f"{answer.status_code} {answer.reason}"
            raise DataError(f"{url} must exist to be downloaded, but {host(url)} answers {status}.")
        have = have if answer.status_code == requests.codes.partial_content else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            part.open("ab" if have else "wb") as file,
            progress(part.stem, total, start=have, unit="B") as bar,
        ):
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def progress(what: str, total: int | None, *, start: int = 0, unit: str) -> tqdm:
    """A progress bar on stderr; in a log, a line every 10 seconds."""
    seldom = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(desc=what, total=total, initial=start, unit=unit, unit_scale=True, mininterval=seldom)


def differences(path: Path, digests: Mapping[str, str]) -> list[str]:
    """The digests that differ from the file's, in words; empty if all are equal."""
    wrong = []
    for algorithm, expected in digests.items():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, algorithm).hexdigest()
        if digest != expected:
            wrong.append(f"{algorithm} must be {expected}, got {digest}")
    return wrong
