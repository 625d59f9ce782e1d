"""A server as a process group of its own: started, waited for, and gone in the end, whatever ends the check."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from servers.environment import NotHereError

#: Seconds between looks at a server that starts, and that a group has to end by itself before it is killed.
_LOOK, _END = 0.5, 10.0


class TookTooLongError(RuntimeError):
    """A server was not done within its time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLongError in the main thread when a block takes longer."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def free_port() -> int:
    """A port of loopback that nothing listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], *, log: Path, healthy: str, env: Mapping[str, str], folder: Path | None = None, within: float = 180
) -> Iterator[None]:
    """A server from the moment at which the address `healthy` answers until the block ends; `log` gets what it prints.

    Its whole process group ends with the block. Raises NotHereError where it ends before, or does not answer `within` seconds.
    """
    with _started(command, log, env, folder) as process:
        _wait(process, healthy, log, within)
        yield


def run_once(command: Sequence[str], *, log: Path, env: Mapping[str, str], folder: Path | None = None) -> None:
    """A command that ends by itself, in a process group of its own. Raises NotHereError where it fails."""
    with _started(command, log, env, folder) as process:
        process.wait()
    if process.returncode:
        raise NotHereError(f"left out: it ended with {_how(process.returncode)}; its last line: {_last(log)!r}")


@contextmanager
def _started(command: Sequence[str], log: Path, env: Mapping[str, str], folder: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, which ends with the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(env), cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            _end(process)


def _wait(process: subprocess.Popen[bytes], healthy: str, log: Path, within: float) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + within
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotHereError(f"left out: it ended with {_how(process.returncode)}; its last line: {_last(log)!r}")
        with suppress(urllib.error.HTTPError, OSError, ValueError), opener.open(healthy, timeout=5):
            return
        time.sleep(_LOOK)
    raise NotHereError(f"left out: it did not answer within {within:g} s; its last line: {_last(log)!r}")


def _how(code: int) -> str:
    """How a process ended, by the name of the signal where one ended it."""
    with suppress(ValueError):
        return signal.Signals(-code).name if code < 0 else f"status {code}"
    return f"status {code}"


def _last(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    # Nothing may break the ending off: neither the time limit nor a second Ctrl-C.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGINT, signal.SIGTERM})
    try:
        _kill(process)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        # The group may outlive its first process: what is left of it gets the second signal.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END)
