"""nginx with limit_req in front of the simulated endpoint."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from persona_collapse.paths import ROOT
from servers.environment import NotHereError
from servers.features import Feature, Keep, Server, ask, works
from servers.processes import free_port, running

_MODEL = "gpt-4o/base"
#: Requests a second that it lets through, and how many may come at once beyond them: the rest is refused with 503.
_CONFIG = """daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_req_zone $binary_remote_addr zone=asked:1m rate=10r/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            limit_req zone=asked burst=3 nodelay;
            proxy_pass http://127.0.0.1:{behind};
        }}
        location = /health {{ return 200; }}
    }}
}}
"""


def _version() -> str:
    path = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(path, os.X_OK):
        return "none"
    found = re.search(r"nginx/([\d.]+)", subprocess.run([path, "-v"], capture_output=True, text=True).stderr)
    return found[1] if found else "unknown"


@contextmanager
def _simulated(folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "persona_collapse", "serve", "--port", str(port)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    with running(command, log=folder / "serve.log", healthy=f"http://127.0.0.1:{port}/v1/models", env=env):
        yield port


def _ask(folder: Path, keep: Keep) -> Iterator[Feature]:
    if _version() == "none":
        raise NotHereError("left out: nginx is not installed (Debian: nginx-light)")
    folder.mkdir(parents=True, exist_ok=True)
    with _simulated(folder) as behind:
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=folder, port=port, behind=behind), encoding="utf-8")
        path = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [path, "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx-error.log")]
        url = f"http://127.0.0.1:{port}"
        with running(command, log=folder / "nginx.log", healthy=f"{url}/health", env=os.environ):
            found = ask(folder, "limited", url, [_MODEL], {"repetitions": 3}, in_flight=16)
            keep("limited", found.answers(503))
            refusals = len(found.answers(503))
            yield works(
                "limit_req",
                found,
                also=f"{refusals} requests were refused with 503",
                unless="" if refusals else "none was refused",
            )


NGINX = Server("nginx", "nginx before make serve", _version, 180, _ask)
