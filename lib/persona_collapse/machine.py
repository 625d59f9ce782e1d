"""What the machine must give, looked at before it is missed: addresses, locks, and folders for sockets."""

import errno
import fcntl
import os
import resource
from pathlib import Path
from tempfile import TemporaryFile, gettempdir

from persona_collapse.paths import shown

#: Bytes of addresses that the engine behind static pictures reserves when it starts (67 GB, of which it uses little); with
#: less it ends the whole process.
_TO_DRAW = 70e9
#: How long the name of a folder with sockets somewhere below it may be: the path of a socket has 103 bytes at most on macOS and
#: 107 on Linux, and below the folder those of a kernel take 35 of them, those of Chromium 45.
_LONGEST = 56
#: What a file system without locks answers: none now, none ever.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def check_addresses() -> None:
    """Refuse to draw where a process may not have enough addresses: RuntimeError, one line."""
    limit, most = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= _TO_DRAW:
        return
    free = most == resource.RLIM_INFINITY
    raise RuntimeError(
        f"ulimit -v: a process has {limit / 1e9:.2g} GB of addresses at most here, and the engine that draws figures reserves "
        f"{_TO_DRAW / 1e9:.0f} GB of them, without using as much memory; "
        + ("run `ulimit -v unlimited` and the same command again" if free else "run it from a shell or a job without this limit")
    )


def check_locks(folder: Path) -> None:
    """Refuse a folder whose file system gives no locks: OSError, one line. Nothing else keeps two processes apart."""
    with TemporaryFile(dir=folder) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_UN)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise OSError(
                f"{shown(folder)}: its file system gives no locks ({(error.strerror or '').lower()}), as happens on NFS and "
                "Lustre, and ratings need one; put the project on a local disk, or have this one mounted with locks "
                "(Lustre: flock)"
            ) from None


def socket_folder() -> str | None:
    """The folder for temporary files, else /tmp, if its name leaves room for that of a socket below it; else None."""
    return next((f for f in (gettempdir(), "/tmp") if len(os.fsencode(f)) <= _LONGEST and os.access(f, os.W_OK)), None)
