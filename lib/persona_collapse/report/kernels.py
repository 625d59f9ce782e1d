"""Kernels forked from one process that has imported everything, and that holds what a report has read and computed.

Where processes cannot be forked, or that process is gone, each kernel starts by itself, which takes longer.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock
from typing import TYPE_CHECKING, Any

from persona_collapse import isolation

if TYPE_CHECKING:
    from persona_collapse.tables.build import Tables

#: What is set for every kernel of ours, and has to be set before anything is imported.
HEADLESS = {"PERSONA_COLLAPSE_HEADLESS": "1"}
#: On macOS a process that has used the system's linear algebra may hang or crash when it is forked.
_CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"
#: Seconds that the process has to end with all of its kernels.
_TO_END = 10


class Kernel:
    """A forked kernel, with what jupyter_client asks of a `Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, server: "KernelServer", pid: int) -> None:
        self._server, self.pid = server, pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        if self._status is None:
            self._status = self._server.ask("poll", self.pid, lost=-signal.SIGKILL)
        return self._status

    def wait(self) -> int | None:
        """As `poll`: jupyter_client waits only for what has ended."""
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class KernelServer:
    """What forks the kernels of a report; made by `kernel_server`."""

    def __init__(self, link: Connection | None) -> None:
        self._link, self._lock, self._ended = link, Lock(), False

    def hold(self, tables: "Tables") -> None:
        """Give kernels these tables and the ratings that they are made of, which are then neither read nor made again."""
        self.ask("hold", tables)

    def fork(self, command: Sequence[str], cwd: str, env: Mapping[str, str]) -> Kernel | None:
        """A kernel for `python -m ipykernel_launcher ...`, in a session of its own; None where it has to be started.

        Raises RuntimeError once the report is over: one that was interrupted starts nothing any more.
        """
        if self._ended:
            raise RuntimeError("the report is over")
        pid = self.ask("fork", list(command[3:]), str(cwd), dict(env))
        return None if pid is None else Kernel(self, pid)

    def ask(self, *what: Any, lost: Any = None) -> Any:
        """What the process answers; `lost` where there is none."""
        with self._lock:
            if self._link is None:
                return lost
            try:
                self._link.send(what)
                return self._link.recv()
            except (EOFError, OSError):
                self._link = None
                return lost

    def end(self) -> None:
        """Let the process end, with every kernel that still runs."""
        with self._lock:
            if self._link is not None:
                self._link.close()
            self._link, self._ended = None, True


@contextmanager
def kernel_server() -> Iterator[KernelServer]:
    """A process to fork kernels from, which begins to import at once; it ends with the block, or with the present process."""
    if not _CAN_FORK:
        yield KernelServer(None)
        return
    ours, theirs = Pipe()
    with theirs:
        # In a session of its own: Ctrl-C is for the process that somebody sees.
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())], env=isolation.environment(HEADLESS),
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
        )  # fmt: skip
    server = KernelServer(ours)
    try:
        yield server
    finally:
        server.end()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_TO_END)
        finally:
            process.kill()
            process.wait()


# --- in that process -------------------------------------------------------------------------------------------------


def _serve(link: Connection) -> list[str] | None:
    """Answer until nobody asks any more. In each kernel that is forked it returns, with the arguments of the kernel."""
    running: set[int] = set()
    try:
        while True:
            match link.recv():
                case "hold", tables:
                    from persona_collapse.tables.build import hold

                    hold(tables)
                    _settle()
                    link.send(None)
                case "poll", pid:
                    status = _status(pid) if pid in running else 0
                    running -= set() if status is None else {pid}
                    link.send(status)
                case "fork", arguments, cwd, env:
                    if (pid := _forked()) == 0:
                        running.clear()
                        link.close()
                        _be_new(cwd, env)
                        return list(arguments)
                    running |= {pid} if pid else set()
                    link.send(pid)
    except (EOFError, OSError):
        return None
    finally:
        for pid in running:
            for end in (os.killpg, os.kill):  # before it has a session of its own, there is no such group
                with suppress(ProcessLookupError):
                    end(pid, signal.SIGKILL)


def _forked() -> int | None:
    """The new process, 0 in it; None where the system gives none, which is said where a kernel is started in its place."""
    try:
        return os.fork()
    except OSError:
        return None


def _status(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _be_new(cwd: str, env: dict[str, str]) -> None:
    """What a process that was started, and not forked, would have."""
    import numpy as np

    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    np.random.seed()  # as `random` does by itself


def _settle() -> None:
    """Let what is there be shared: the collector would write to every page of it in each kernel."""
    import gc

    gc.collect()
    gc.freeze()


def _import_all() -> None:
    """What kernels import; nothing of it starts a thread, which would not live on in them."""
    import ipykernel.debugger
    import ipykernel.ipkernel
    import ipykernel.kernelapp  # noqa: F401

    from persona_collapse.door import load

    load()


def _main(descriptor: int) -> None:
    link = Connection(descriptor)
    _import_all()
    _settle()
    arguments = _serve(link)
    if arguments is not None:
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = [str(import_module("ipykernel_launcher").__file__), *arguments]
        IPKernelApp.launch_instance(parent_handle=os.getppid())


if __name__ == "__main__":
    _main(int(sys.argv[1]))
