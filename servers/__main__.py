"""Start the real servers one after another, ask each, and print what works: `make check-servers`."""

import argparse
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

from servers import environment, record, table
from servers.environment import NotHereError
from servers.features import Keep, Server
from servers.limiter import NGINX
from servers.llama_cpp import LITELLM, LLAMA_CPP
from servers.places import FIXTURES, TABLE, WORK
from servers.processes import TookTooLongError, time_limit
from servers.recorder import Exchange
from servers.table import Row
from servers.transformers_serve import TRANSFORMERS
from servers.vllm import VLLM

#: In the order in which they are asked.
SERVERS = (LLAMA_CPP, VLLM, TRANSFORMERS, LITELLM, NGINX)


def check(server: Server, keep: Keep) -> Iterator[Row]:
    """The rows of one server, within its time; one row says why where it cannot be had."""
    version, folder = server.version(), WORK / server.key
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with time_limit(server.seconds):
            for feature in server.ask(folder, keep):
                yield Row(server.name, version, feature.name, feature.result, feature.fine)
    except NotHereError as reason:
        yield Row(server.name, version, "start", str(reason))
    except TookTooLongError as reason:
        yield Row(server.name, version, "all of it", str(reason), False)


def main(argv: list[str]) -> int:
    """Check the servers; 1 if one of them and the project disagree, or one took too long."""
    parser = argparse.ArgumentParser(prog="make check-servers", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[server.key for server in SERVERS], help="these servers alone")
    parser.add_argument("--record", action="store_true", help="write what they answer to tests/fixtures/servers/")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _leave)  # a server ends with the check, however that ends

    def keeper(server: Server) -> Keep:
        def keep(feature: str, exchanges: Sequence[Exchange]) -> None:
            if options.record and exchanges:
                record.write(exchanges[0], FIXTURES / server.key / f"{feature}.json")

        return keep

    rows: list[Row] = []
    try:
        environment.make()
        for server in SERVERS:
            if not options.only or server.key in options.only:
                for row in check(server, keeper(server)):
                    print(f"{row.server}: {row.feature}: {row.result}", flush=True)
                    rows.append(row)
    except NotHereError as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; every server that was started has ended", file=sys.stderr)
        return 130
    finally:
        if rows:
            table.write(rows, TABLE)
            print(f"\n{table.as_text(rows)}")
    return 0 if all(row.fine for row in rows) else 1


def _leave(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
