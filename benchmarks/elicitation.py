"""What the README claims about asking endpoints, measured against the simulated endpoint in a process of its own.

Each client runs in a process of its own too; requests and rates are the server's count. `--quick` leaves out most kills;
`--small` asks few personas in every part, once, to see that it runs.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from persona_collapse import paths
from persona_collapse.asking.collect import collect
from persona_collapse.store.ratings import read_ratings
from persona_collapse.study.load_study import load_study
from persona_collapse.study.study import Study

if "--child" not in sys.argv:  # a client's process loads what a client needs
    import numpy as np
    import yaml

    from persona_collapse.simulated.faults import Options
    from persona_collapse.simulated.server import Apart, apart
    from persona_collapse.store.store import open_store
    from persona_collapse.tables.build import Tables, run_metrics

MODEL, IN_FLIGHT, LATENCY = "gpt-4o/base", 64, 0.05
ITEMS, REPETITIONS = 30, 10
STORM: dict[str, Any] = {"rate_limited": 0.3, "retry_after": (1.0, 3.0), "server_error": 0.05, "dropped": 0.02, "malformed": 0.01}
os.environ.setdefault("BENCH_KEY", "none-needed")


class Size(NamedTuple):
    """How large the parts are."""

    personas: int = 100
    rounds: int = 3
    kills: int = 100

    @property
    def cells(self) -> int:
        """Of one run, answers without a persona included."""
        return (self.personas + 1) * ITEMS


# --- studies and clients ---------------------------------------------------------------------------------------------


def write_study(folder: Path, server: "Apart", size: Size, *, in_flight: int = IN_FLIGHT, **protocol: Any) -> Path:
    """A live study of one run against a server; its outputs go into the same folder."""
    path = folder / "live.yaml"
    endpoint = {"base_url": server.base_url, "api_key_env": "BENCH_KEY", "max_in_flight": in_flight}
    variant = {"key": "base", "role": "base", "endpoint": "here", "model": MODEL}
    content = {
        "title": "Benchmark", "kind": "live",
        "protocol": {"repetitions": REPETITIONS, "personas": size.personas, "probe": 0, "request_probe": 0} | protocol,
        "endpoints": {"here": endpoint}, "families": [{"key": "gpt-4o", "variants": [variant]}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def load(path: Path) -> Study:
    """A benchmark's study, with outputs beside its file."""
    paths.OUTPUTS = path.parent
    return load_study(path)


def child(mode: str, path: Path) -> None:
    """What a client's process does: ask a study, or send its requests in a bare loop; prints what it used."""
    study = load(path)
    first: list[float] = []
    if mode == "ours":
        from persona_collapse.asking import dialect_openai

        send = dialect_openai.send

        async def timed(*arguments: Any, **options: Any) -> Any:
            first.append(time.time() - float(os.environ["BENCH_STARTED"]))
            dialect_openai.send = send
            return await send(*arguments, **options)

        dialect_openai.send = timed
        collect(study, say=lambda line: print(line, file=sys.stderr))
    else:
        asyncio.run(_bare(study))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps({"cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024, "first": first[0] if first else 0.0})
    )


async def _bare(study: Study) -> None:
    """The same requests through the same transport of the SDK, from 64 workers, and nothing kept."""
    import httpx2

    from persona_collapse.asking.client import connect
    from persona_collapse.asking.dialect_openai import request_body

    endpoint, protocol = study.file.endpoints["here"], study.file.protocol
    choices = protocol.repetitions
    people = [persona.text for persona in study.personas or ()]
    prompts = [study.instrument.prompt(item, text) for text in (*people, None) for item in study.instrument.items]
    client, waiting = connect(endpoint), iter(prompts)

    async def work() -> None:
        for prompt in waiting:
            body = request_body(
                endpoint, MODEL, protocol, prompt, choices=choices, limit="max_tokens", alternatives=0, sampling={"top_p": 1.0}
            )
            answer = await client.post("/chat/completions", cast_to=httpx2.Response, body=body)
            json.loads(answer.content)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    await client.close()


def start(mode: str, path: Path) -> subprocess.Popen[str]:
    """A client's process."""
    command = [sys.executable, __file__, "--child", mode, str(path)]
    environment = os.environ | {"BENCH_STARTED": str(time.time())}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def measured(mode: str, options: "Options", size: Size, **protocol: Any) -> dict[str, float]:
    """One client against one server: its resources, and the server's figures."""
    with tempfile.TemporaryDirectory() as folder, apart(options) as server:
        path = write_study(Path(folder), server, size, **protocol)
        began = time.perf_counter()
        said, wrong = (process := start(mode, path)).communicate()
        seconds = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError(f"the client ended with status {process.returncode}: {wrong[-2000:]}")
        found = server.stats() | json.loads(said.splitlines()[-1]) | {"seconds": seconds}
        found["span"] = found["last_arrival"] - found["first_arrival"] + LATENCY
        return found


# --- what is shown ---------------------------------------------------------------------------------------------------


def quiet(say: Any, size: Size) -> None:
    """Rates, CPU and memory at 64 in flight, 50 ms an answer, beside a bare loop; the median of three rounds of each."""
    options = Options(latency=LATENCY)
    median: dict[tuple[str, int], float] = {}
    for choices in (10, 1):
        for mode in ("ours", "bare"):
            runs = [measured(mode, options, size, repetitions=choices) for _ in range(size.rounds)]
            middle = sorted(runs, key=lambda run: run["ratings"] / run["span"])[len(runs) // 2]
            rate = median[mode, choices] = middle["ratings"] / middle["span"]
            say(
                f"{mode:5} {choices:2} ratings a request: {middle['requests']:,} requests, {rate:7,.0f} ratings/s, "
                f"{1000 * middle['cpu'] / middle['ratings']:.3f} CPU s per 1,000 ratings, {middle['memory']:.0f} MB, "
                f"{middle['seconds']:.1f} s with start-up"
                + (f", first request {middle['first']:.2f} s after the process" if middle["first"] else "")
            )
    ratio = {choices: median["ours", choices] / median["bare", choices] for choices in (10, 1)}
    times = median["ours", 10] / median["ours", 1]
    say(f"ours over bare: {ratio[10]:.2f} with ten a request, {ratio[1]:.2f} with one; ten over one: {times:.1f}")
    single = measured("ours", Options(latency=LATENCY, n="ignored"), size)
    rate = single["ratings"] / single["span"]
    say(
        f"{size.cells * REPETITIONS:,} slots one by one: {single['requests']:,} requests, {rate:,.0f} ratings/s, "
        f"{single['memory']:.0f} MB"
    )


def agreement(say: Any, size: Size) -> None:
    """One run of the full design by choices, one by one and by logprobs: requests, S and R."""
    parts: tuple[tuple[str, Options, dict[str, Any]], ...] = (
        ("ten a request", Options(seed=1), {}),
        ("one by one", Options(seed=2, n="ignored"), {}),
        ("logprobs", Options(), {"method": "logprobs"}),
    )
    for name, options, protocol in parts:
        with tempfile.TemporaryDirectory() as folder, apart(options) as server:
            study = load(write_study(Path(folder), server, size, **protocol))
            collect(study)
            with open_store(study.store_path) as store:
                rows = run_metrics(read_ratings(study, store), study.runs[0]).query(
                    "scope == 'overall' and method == 'published'"
                )
                rows = rows.set_index("metric")
            s, r = rows.loc["susceptibility"], rows.loc["robustness"]
            say(f"{name}: {server.stats()['requests']:,} requests, S {s['value']:.4f} ± {s['se']:.4f}, "
                f"R {r['value']:.3f} ± {r['se']:.3f}")  # fmt: skip


def limiter(say: Any, size: Size) -> None:
    """A limiter of 100 requests a second, as windows and as a bucket."""
    for kind in ("window", "bucket"):
        found = measured("ours", Options(latency=LATENCY, limit=100.0, limiter=kind), size, repetitions=1)
        say(
            f"limiter ({kind}) of 100 requests/s: {found['ratings'] / found['span']:.1f} answers/s, "
            f"{found['requests'] / found['ratings']:.3f} requests an answer, "
            f"{found['inside_window']} inside an announced window"
        )


def storm(say: Any, size: Size) -> None:
    """30 % 429 with Retry-After of 1 to 3 s, 5 % 500, 2 % dropped, 1 % malformed."""
    for choices in (10, 1):
        found = measured("ours", Options(latency=LATENCY, **STORM), size, repetitions=choices)
        say(
            f"storm, {choices} ratings a request: {found['slots_answered']:,} slots rated in {found['seconds']:.0f} s, "
            f"{found['requests'] / size.cells:.2f} requests an answer needed, "
            f"{found['before_retry_after']} before their Retry-After"
        )


def kills(say: Any, size: Size) -> None:
    """A study asked one by one, killed at random moments, then finished, beside one that was left alone."""
    rng, options, slots = random.Random(7), Options(latency=LATENCY, n="ignored"), size.cells * REPETITIONS
    again, resumed = [0], []
    with tempfile.TemporaryDirectory() as folder, apart(options) as server:
        path = write_study(Path(folder), server, size, in_flight=8)
        for _ in range(size.kills):
            before, began = server.stats()["requests"], time.perf_counter()
            process = start("ours", path)
            while server.stats()["requests"] == before and process.poll() is None:
                time.sleep(0.01)
            resumed.append(time.perf_counter() - began)
            time.sleep(rng.uniform(0, 1.5))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            again.append(server.stats()["slots_answered_again"])
        start("ours", path).communicate()
        killed = _tables(path)
        rows = _slots(path)
        again.append(server.stats()["slots_answered_again"])
    with tempfile.TemporaryDirectory() as folder, apart(options) as server:
        path = write_study(Path(folder), server, size)
        start("ours", path).communicate()
        whole = _tables(path)
        began = time.perf_counter()
        start("ours", path).communicate()
        finished = time.perf_counter() - began
        asked = server.stats()["requests"]
    say(f"{size.kills} kills: {rows[0]:,} slots stored, {rows[0] - rows[1]} twice, {slots - rows[1]} lost; at most "
        f"{max(np.diff(again))} answered again after a kill with 8 in flight, {again[-1]} in all; first request "
        f"{max(resumed):.1f} s after start at most; tables byte-equal: {killed == whole}")  # fmt: skip
    say(f"a finished study: {finished:.1f} s, {asked - slots} requests beyond those needed")


def _tables(path: Path) -> dict[str, str]:
    study = load(path)
    with open_store(study.store_path) as store:
        built = Tables(read_ratings(study, store))
    return {name: getattr(built, name).to_csv() for name in ("metrics", "contrasts", "profiles", "saturation")}


def _slots(path: Path) -> tuple[int, int]:
    study = load(path)
    with open_store(study.store_path) as store:
        run = study.runs[0]
        found = [store.ratings(*run.keys, c, study.instrument.key) for c in study.conditions(run)]
    every = [(place, *slot[:3]) for place, slots in enumerate(found) for slot in slots]
    return len(every), len(set(every))


def main() -> None:
    """Run every part, or one client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, metavar=("MODE", "STUDY"), help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="10 kills in place of 100")
    parser.add_argument("--small", action="store_true", help="two personas, one round, one kill")
    parser.add_argument("--only", choices=("quiet", "agreement", "limiter", "storm", "kills"))
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]))
        return
    size = Size(personas=2, rounds=1, kills=1) if args.small else Size(kills=10 if args.quick else 100)
    for part in (quiet, agreement, limiter, storm, kills):
        if args.only in (None, part.__name__):
            part(lambda line: print(line, flush=True), size)


if __name__ == "__main__":
    main()
