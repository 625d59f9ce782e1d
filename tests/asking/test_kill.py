"""A study that is killed, interrupted or runs out of disk: nothing lost, nothing twice, and it says what it may have cost."""

import os
import random
import re
import signal
import threading
import time

import pytest

from live import KEY, command, live, rows, traffic, variant
from loopback import answer, serve
from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.asking.ledger import Journal, Sent
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.tables.build import Tables

pytestmark = pytest.mark.slow

KILLS = 8
#: 2 runs x (9 personas + self) x 30 items
SLOTS = 600


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


def csv(study):
    """The tables that come of ratings alone, as they are written."""
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
    return [getattr(found, name).to_csv() for name in ("metrics", "contrasts", "profiles")]


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.005)


def stored(study):
    return len(rows(study, "1")) if study.store_path.is_file() else 0


def test_killed_eight_times_and_resumed_is_the_study_that_was_never_killed(tmp_path, outputs):
    pair = [variant(), variant("insecure", "harmful", model="gpt-4o/insecure")]
    few = {"protocol": {"personas": 9}, "endpoint": {"max_in_flight": 16}, "variants": pair}
    draw, lost, shown = random.Random(20), 0, []
    with running(Options(seed=4, latency=0.02)) as server:
        study = live(tmp_path, server.base_url, name="killed", **few)
        for kill in range(KILLS):
            process = command(outputs, "elicit", "--study", study.path)
            begun, before = server.stats()["requests"], stored(study) if kill else 0
            # On its very first requests, or some dozens later.
            until = begun + draw.choice((1, 2, 40, 75))
            wait_for(lambda until=until: server.stats()["requests"] >= until)
            time.sleep(draw.uniform(0, 0.02))
            process.kill()
            said = process.communicate()[0]
            lost += sum(int(n) for n in re.findall(r"killed with requests under way \((\d+)\)", said))
            shown.append(stored(study))
            assert shown[-1] >= before
        process = command(outputs, "elicit", "--study", study.path)
        said, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        lost += sum(int(n) for n in re.findall(r"killed with requests under way \((\d+)\)", said))
        stats = server.stats()
        whole = live(tmp_path, server.base_url, name="whole", **few)
        assert collect(whole) == SLOTS
    assert shown == sorted(shown) and 0 < shown[-1] < SLOTS
    # Every slot once, and nothing in the journal any more.
    assert rows(study, "count(*), count(DISTINCT question || '/' || repetition), count(rating)", "slots") == [(SLOTS,) * 3]
    assert not (study.outputs / ".under-way").exists()
    # Paid for and lost: no more than was in flight, each time, and all of it is said and counted.
    assert stats["answers_too_many"] <= KILLS * 16
    found = traffic(study)
    assert found["answered"] == SLOTS
    # A kill while a fine-tune is compared with its base has that done again.
    assert stats["requests"] - SLOTS - found["compared"] <= lost == found["lost"] <= KILLS * 16
    assert csv(study) == csv(whole)


def test_lost_requests_count_at_most_what_they_could_cost(tmp_path, outputs):
    """A budget holds across a kill: 16 lost requests are counted by their bytes, with the 12 that were answered."""
    price = {"input": 1e6, "output": 0}
    with running(Options(latency=0.3)) as server:
        study = live(
            tmp_path, server.base_url, budget_usd=20_000, endpoint={"max_in_flight": 8, "price_per_million": price}
        )  # fmt: skip
        process = command(outputs, "elicit", "--study", study.path)
        wait_for(lambda: server.stats()["in_flight"] == 8)
        process.kill()
        process.communicate()
        prompts = [len(request["messages"][0]["content"].encode()) + 16 for request in server.seen()]
    lost = len(prompts) - stored(study)
    assert lost == 8
    with running(Options()) as server:
        study = live(
            tmp_path, server.base_url, budget_usd=1, endpoint={"max_in_flight": 8, "price_per_million": price}
        )  # fmt: skip
        said = []
        with pytest.raises(ElicitationError, match="budget_usd of 1 is used up"):
            collect(study, say=said.append)
        assert server.stats()["requests"] == 0
    assert said == [
        "live: the last visit was killed with requests under way (8); they may have been paid for, and are asked again"
    ]
    assert rows(study, "sum(requests), sum(input_tokens)", "traffic WHERE outcome = 'lost'") == [(8, sum(prompts[-8:]))]


def test_what_timed_out_before_a_kill_is_accounted_for(tmp_path, outputs):
    """Nobody knows whether a request without an answer was paid for: it is in the store before it is called over."""
    slow = [True]

    def respond(request):
        time.sleep(0.6 if slow[0] and request.number > 1 else 0)
        return answer("3")

    with serve(respond) as (url, requests):
        study = live(tmp_path, url, endpoint={"max_in_flight": 4, "timeout": 0.2})
        process = command(outputs, "elicit", "--study", study.path)
        wait_for(lambda: len(requests) >= 9)  # the first, four that timed out, and four more
        process.kill()
        process.communicate()
        before = traffic(study)
        slow[0] = False
        collect(study)
    assert before["timeout"] >= 4 and before["answered"] == 1
    found = traffic(study)
    assert found["answered"] == 90 and sum(found.values()) >= len(requests)


def test_a_visit_killed_at_its_very_end_is_accounted_for_though_nothing_is_missing(tmp_path, monkeypatch):
    with serve(lambda request: answer("3")) as (url, requests):
        study = live(tmp_path, url)
        collect(study)
        journal = Journal(study.outputs / ".under-way")
        journal.sent(Sent("gpt-4o", "base", "self", 500, 1))
        os.close(journal._file)
        monkeypatch.delenv("TEST_KEY")  # a finished study needs none
        said = []
        assert collect(study, say=said.append) == 0
        assert len(requests) == 90
    assert "killed with requests under way (1); they may have been paid for, and are asked again" in said[0]
    assert traffic(study)["lost"] == 1 and not (study.outputs / ".under-way").exists()
    assert collect(study, say=said.append) == 0 and len(said) == 1


def test_a_journal_knows_what_was_under_way_whatever_its_last_lines(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    one, two, three = (Sent("f", "v", "persona", 100 + k, 1) for k in range(3))
    journal.sent(one)
    number = journal.sent(two)
    journal.sent(three)
    journal.ended(number)
    assert Journal(path).lost == (one, three)
    whole = path.read_bytes()
    # Cut anywhere, it is read all the same, and never finds more than was sent.
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert set(Journal(path).lost) <= {one, two, three}
    # A line that a full disk cut, with another one behind it.
    path.write_bytes(whole + b"+ 4 f v per- 3\n+ 5 f v persona 9 1\n")
    assert Journal(path).lost == (one, three, Sent("f", "v", "persona", 9, 1))


# --- interrupts ------------------------------------------------------------------------------------------------------


def test_an_interrupt_sends_nothing_new_and_keeps_what_is_in_flight(tmp_path, outputs):
    with running(Options(latency=0.5)) as server:
        study = live(tmp_path, server.base_url, endpoint={"max_in_flight": 8})
        process = command(outputs, "elicit", "--study", study.path)
        wait_for(lambda: server.stats()["in_flight"] == 8)
        process.send_signal(signal.SIGINT)
        asked = server.stats()["requests"]
        error = process.communicate(timeout=20)[1]
        assert process.returncode == 130 and "answers are stored; the same command goes on" in error
        assert stored(study) == asked == server.stats()["requests"]
        assert traffic(study) == {"answered": asked} and not (study.outputs / ".under-way").exists()
        assert collect(live(tmp_path, server.base_url, endpoint={"max_in_flight": 64})) == 90 - asked
        assert server.stats()["answers_too_many"] == 0


@pytest.mark.parametrize("before", [0, 4], ids=["first request", "in the middle"])
def test_a_second_interrupt_drops_what_is_in_flight_and_says_so(tmp_path, outputs, before):
    """The endpoint has stopped answering: nobody waits out its minute, and what was dropped is counted as perhaps paid for."""
    held, ended = [], threading.Event()

    def respond(request):
        if request.number > before:
            held.append(request)
            ended.wait(60)
        return answer("3")

    with serve(respond) as (url, _):
        study = live(tmp_path, url, endpoint={"max_in_flight": 4})
        process = command(outputs, "elicit", "--study", study.path)
        wait_for(lambda: len(held) == (4 if before else 1))
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)  # the endpoint still holds them
        ended.set()
    assert process.returncode == 130
    assert stored(study) == before
    assert traffic(study)["lost"] == (4 if before else 1) and not (study.outputs / ".under-way").exists()


def test_a_second_process_is_refused_at_once_and_named(tmp_path, outputs, capsys):
    with running(Options(latency=1)) as server:
        study = live(tmp_path, server.base_url, endpoint={"max_in_flight": 8})
        process = command(outputs, "elicit", "--study", study.path)
        wait_for(lambda: server.stats()["requests"] > 2)
        assert commands.main(["elicit", "--study", str(study.path)]) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.endswith(
            f"process {process.pid} is asking this study already; wait for it, or stop it and run the same command again"
        )
        process.kill()
        process.communicate()
        # The lock of the dead one is taken over.
        assert collect(study) == 90 - stored(study) or stored(study) == 90


# --- a full disk -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_disk_that_fills_up_stops_in_one_line_and_goes_on_later(tmp_path, outputs, capsys):
    """140 kB hold the design and a part of the answers; nothing is half-written, and after room is made it goes on."""
    outputs.mkdir()
    if os.system(f"mount -t tmpfs -o size=140k tmpfs {outputs} 2>/dev/null"):
        pytest.skip("this sandbox does not let root mount")
    try:
        with running(Options(seed=4)) as server:
            study = live(tmp_path, server.base_url, protocol={"personas": 9, "max_tokens": 40}, endpoint={"max_in_flight": 16})
            assert commands.main(["elicit", "--study", str(study.path)]) == 1
            line = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
            assert len(line) == 1
            assert re.search(r"(disk is full|no space left on device); free some space and run the same command again", line[0])
            kept = stored(study)
            assert 0 < kept < 300
            assert os.system(f"mount -o remount,size=8m {outputs}") == 0
            said = []
            assert collect(study, say=said.append) == 300 - kept
            stats = server.stats()
        assert rows(study, "count(*), count(rating)") == [(300, 300)]
        assert traffic(study)["answered"] == 300 and stats["answers_too_many"] <= traffic(study)["lost"] <= 2 * 16
        assert "they may have been paid for, and are asked again" in said[0]
        assert not (study.outputs / ".under-way").exists()
    finally:
        os.system(f"umount {outputs}")
