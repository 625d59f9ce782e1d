"""A study file that was changed after it was asked: what is asked anew, and what that leaves unused, is said before."""

import subprocess
import sys

import pytest

from live import KEY, live, variant
from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.asking.kept_answers import kept_lines
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.store import open_store

#: (2 personas + self) x 30 items
CELLS = 90
INSECURE = variant("insecure", "harmful", model="gpt-4o/insecure")


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture(scope="module")
def url():
    with running(Options()) as server:
        yield server.base_url


def test_a_changed_temperature_is_said_before_it_is_asked_anew(tmp_path, url, capsys):
    """Two runs of 90 answers at 0.1; at 0.7 all is asked, and back at 0.1 nothing."""
    pair = [variant(), INSECURE]
    study = live(tmp_path, url, variants=pair)
    assert kept_lines(study) == []
    collect(study)
    assert kept_lines(study) == []
    warmer = live(tmp_path, url, variants=pair, protocol={"temperature": 0.7})
    said = "live: temperature 0.1 -> 0.7: 180 answers at 0.1 are kept, unused"
    assert kept_lines(warmer) == [said]
    assert commands.main(["estimate", "--study", str(warmer.path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said
    assert commands.main(["elicit", "--study", str(warmer.path)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == said
    assert kept_lines(warmer) == []  # nothing is asked any more
    assert kept_lines(live(tmp_path, url, variants=pair)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": {"max_tokens": 2}}, "max_tokens 1 -> 2: 90 answers at 1"),
        ({"protocol": {"top_p": 0.9}}, "top_p 1 -> 0.9: 90 answers at 1"),
        ({"protocol": {"method": "logprobs"}}, "temperature 0.1 -> 1, method samples -> logprobs: 90 answers asked as before"),
        ({"variants": [variant(model="gpt-4.1/base")]}, "model gpt-4o/base -> gpt-4.1/base: 90 answers at gpt-4o/base"),
        ({"endpoint": {"provider": ["x"]}}, "provider none -> ['x']: 90 answers at none"),
        ({"endpoint": {"extra_body": {"a": {}}}}, "extra_body none -> {'a': {}}: 90 answers at none"),
        ({"endpoint": {"base_url": "http://127.0.0.1:9/{v1}"}}, "base_url URL -> http://127.0.0.1:9/{v1}: 90 answers at URL"),
        ({"protocol": {"repetitions": 2}}, None),
        ({"protocol": {"personas": 3}}, None),
        # The self condition's 30 stay in use.
        ({"personas": "others.csv"}, "60 answers to other prompts or of other personas, or asked otherwise,"),
    ],
)
def test_what_differs_is_named(tmp_path, url, changes, said):
    collect(live(tmp_path, url))
    (tmp_path / "others.csv").write_text("persona\nA baker who sings.\nA diver who reads.\n")
    expected = [f"live: {said.replace('URL', url)} are kept, unused"] if said else []
    assert kept_lines(live(tmp_path, url, **changes)) == expected


def test_what_was_asked_before_there_was_a_record_is_counted_all_the_same(tmp_path, url):
    study = live(tmp_path, url)
    collect(study)
    with open_store(study.store_path, write=True) as store, store.transaction():
        store._db.execute("DELETE FROM meta WHERE key LIKE 'origins%'")
    assert kept_lines(live(tmp_path, url, protocol={"temperature": 0.7})) == [
        "live: 90 answers to other prompts or of other personas, or asked otherwise, are kept, unused"
    ]


def test_two_former_ways_are_told_apart(tmp_path, url):
    """90 at 0.1, 90 at 0.7; now 0.5."""
    for temperature in (0.1, 0.7):
        collect(live(tmp_path, url, protocol={"temperature": temperature}))
    assert kept_lines(live(tmp_path, url, protocol={"temperature": 0.5})) == [
        "live: temperature 0.1 -> 0.5: 90 answers at 0.1 are kept, unused",
        "live: temperature 0.7 -> 0.5: 90 answers at 0.7 are kept, unused",
    ]


def test_what_asks_does_not_wait_for_pandas():
    """Half a second of every start, which a record of how a run is asked once cost."""
    code = "import sys; from persona_collapse.asking import collect, kept_answers, live_visit, progress; print('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
