"""Study files: the shipped ones load, and every wrong one is told where, what was found, what was expected, what to do."""

import copy
import socket

import pytest
import yaml

from persona_collapse.paths import FETCHED, STUDIES
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import check_keys, load_study, study_path

# A user may have studies of their own beside these.
SHIPPED = [
    "capability", "demo", "demo-logprobs", "local-example", "mini", "mini-again", "mitigation", "openai-example", "published",
    "smollm2", "trajectory", "verification",
]  # fmt: skip
SECRET = "sk-proj-not-a-real-one-0123456789"


def simulated():
    return {
        "title": "Own",
        "kind": "simulated",
        "personas": "everyday",
        "protocol": {"personas": 3, "repetitions": 2},
        "seed": 7,
        "families": [
            {
                "key": "one",
                "variants": [
                    {"key": "base", "role": "base", "figures": "gpt-4o/base"},
                    {"key": "secure", "role": "control", "figures": "gpt-4o/secure"},
                    {"key": "insecure", "role": "harmful", "control": "secure", "figures": "gpt-4o/insecure"},
                ],
            },
            {"key": "two", "variants": [{"key": "base", "role": "base", "figures": "gpt-4.1/base"}]},
        ],
    }


def imported():
    return {
        "title": "Own",
        "kind": "imported",
        "families": [{"key": "one", "variants": [{"key": "base", "role": "base", "persona": "b.csv", "self": "b_self.csv"}]}],
    }


def live():
    return {
        "title": "Own",
        "kind": "live",
        "endpoints": {
            "here": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "OWN_KEY"},
            "spare": {"base_url": "https://example.org/v1", "api_key_env": "SPARE_KEY"},
        },
        "families": [{"key": "one", "variants": [{"key": "base", "role": "base", "endpoint": "here", "model": "m"}]}],
    }


def changed(content, *changes):
    """The content with values set at places such as "families.0.key"; `...` removes what is there."""
    content = copy.deepcopy(content)
    for place, value in changes:
        *above, last = [int(part) if part.isdigit() else part for part in place.split(".")]
        inner = content
        for part in above:
            inner = inner[part]
        if value is ...:
            del inner[last]
        elif isinstance(inner, list) and last == len(inner):
            inner.append(value)
        else:
            inner[last] = value
    return content


@pytest.fixture
def write(tmp_path):
    """A study file own.yaml with this content, text or bytes; the ratings files of `imported` are there."""
    for name in ("b.csv", "b_self.csv"):
        (tmp_path / name).write_text("", encoding="utf-8")

    def written(content, name="own.yaml"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
            path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


# What ships.


def test_the_shipped_studies():
    assert sorted(path.stem for path in STUDIES.glob("*.yaml")) == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_study_loads_without_key_files_or_network(name, no_network, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    study = load_study(name, files=False)
    assert study.name == name
    assert study.path == STUDIES / f"{name}.yaml"
    assert study.instrument.key == "mfq30"
    finished = [run.variant for run in study.runs if run.variant.role == "harmful" and not run.variant.of]
    assert all(variant.control in ("secure", "plain") for variant in finished)


@pytest.mark.parametrize(
    ("name", "kind"), [("demo", "simulated"), ("demo-logprobs", "simulated"), ("mini", "simulated"), ("published", "imported")]
)
def test_shipped_study_needs_no_key(name, kind, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    study = load_study(name, files=False)
    assert study.file.kind == kind
    assert study.simulated == (kind == "simulated")
    check_keys(study)


@pytest.mark.parametrize("name", ["demo", "published"])
def test_families_and_variants_keep_the_order_of_the_file(name):
    study = load_study(name, files=False)
    assert [family.key for family in study.file.families] == ["deepseek-v3.1", "gpt-4.1", "gpt-4o", "qwen3-235b"]
    qwen = ["base", "secure", "insecure"] if name == "demo" else ["base", "base-tinker", "secure", "insecure"]
    assert [run.key for run in study.runs][-len(qwen) :] == [f"qwen3-235b/{variant}" for variant in qwen]
    assert [run.key for run in study.runs][:3] == ["deepseek-v3.1/base", "deepseek-v3.1/secure", "deepseek-v3.1/insecure"]


def test_published_stacks_are_the_ones_that_served_the_weights():
    study = load_study("published", files=False)
    assert study.stack(study.run("qwen3-235b", "base")) == "openrouter"
    assert study.stack(study.run("qwen3-235b", "base-tinker")) == "tinker"
    assert study.stack(study.run("gpt-4o", "insecure")) == "openai"
    assert study.run("qwen3-235b", "base-tinker").variant.role == "alternate"


def test_published_names_a_checksum_for_every_file_it_reads_and_no_other():
    study = load_study("published", files=False)
    named = {file for run in study.runs for file in (run.variant.persona, run.variant.self_)}
    assert named == set(study.file.source.sha256)
    assert all(len(digest) == 64 and int(digest, 16) for digest in study.file.source.sha256.values())


def test_mini_is_the_first_twenty_of_the_deck_and_five_repetitions():
    study, demo = load_study("mini"), load_study("demo")
    assert study.personas == demo.personas[:20]
    assert (study.file.protocol.repetitions, demo.file.protocol.repetitions) == (5, 10)


def test_toxic_is_asked_of_bases_only():
    study = load_study("mini")
    assert study.conditions(study.run("gpt-4o", "base")) == ("persona", "self", "toxic")
    assert study.conditions(study.run("gpt-4o", "insecure")) == ("persona", "self")
    assert len(study.deck("toxic")) == 8 and study.deck("self") is None
    assert len(list(study.conditions_asked())) == 2 * (3 + 2 + 2)


# Keys.


def test_the_example_needs_its_key_only_when_asked_for(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    study = load_study("openai-example")
    with pytest.raises(ValueError) as caught:
        check_keys(study)
    assert str(caught.value) == (
        "params/studies/openai-example.yaml, endpoints.openai: OPENAI_API_KEY is not set; "
        "export it, or use the demo study, which needs no key"
    )
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(ValueError, match="OPENAI_API_KEY is not set"):
        check_keys(study)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    check_keys(study)


def test_keys_are_asked_for_only_of_endpoints_in_use(write, monkeypatch):
    monkeypatch.delenv("SPARE_KEY", raising=False)
    monkeypatch.setenv("OWN_KEY", SECRET)
    check_keys(load_study(write(live())))


def test_no_message_and_no_study_holds_the_value_of_a_key(write, monkeypatch):
    """Another endpoint's key is missing: the one that is set is not shown, nor is it anywhere in the study."""
    monkeypatch.setenv("OWN_KEY", SECRET)
    monkeypatch.delenv("SPARE_KEY", raising=False)
    other = {"key": "two", "role": "control", "endpoint": "spare", "model": "m"}
    study = load_study(write(changed(live(), ("families.0.variants.1", other))))
    assert SECRET not in repr(study)
    with pytest.raises(ValueError, match=r"own\.yaml, endpoints\.spare: SPARE_KEY is not set; export it") as caught:
        check_keys(study)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("endpoints.here.api_key_env", SECRET),
            "is not the name of an environment variable; give the name, never the key itself",
        ),
        (("endpoints.here.api_key", SECRET), "unknown key 'api_key'; remove it"),
    ],
)
def test_a_key_put_into_the_file_is_refused_and_not_repeated(write, change, message):
    with pytest.raises(ValueError) as caught:
        load_study(write(changed(live(), change)))
    assert message in str(caught.value) and ", endpoints.here." in str(caught.value)
    assert SECRET not in str(caught.value) and "\n" not in str(caught.value)


# What is allowed.


def test_two_alternates_a_second_control_and_harmful_variants_without_a_control(write):
    base = {"role": "alternate", "figures": "gpt-4o/base"}
    more = [
        {"key": "other-stack"} | base,
        {"key": "warm"} | base,
        {"key": "good-medical", "role": "control", "figures": "gpt-4o/secure"},
        {"key": "bad-medical", "role": "harmful", "control": "good-medical", "figures": "gpt-4o/insecure"},
        {"key": "extreme", "role": "harmful", "figures": "gpt-4o/insecure"},
    ]
    changes = [(f"families.0.variants.{3 + i}", variant) for i, variant in enumerate(more)]
    study = load_study(write(changed(simulated(), *changes)))
    keys = ["base", "secure", "insecure", "other-stack", "warm", "good-medical", "bad-medical", "extreme"]
    assert [run.variant.key for run in study.runs[:8]] == keys
    assert study.file.families[0].base.key == "base"


def test_the_base_need_not_come_first_nor_families_in_alphabetical_order(write):
    content = simulated()
    content["families"].reverse()
    content["families"][1]["variants"].reverse()
    study = load_study(write(content))
    assert [run.key for run in study.runs] == ["two/base", "one/insecure", "one/secure", "one/base"]
    assert study.file.families[1].base.key == "base"


def test_defaults_of_a_live_study(write):
    study = load_study(write(live()))
    protocol = study.file.protocol
    assert (protocol.temperature, protocol.repetitions, protocol.max_tokens, protocol.method) == (0.1, 10, 1, "samples")
    assert len(study.personas) == 100 and study.toxic is None
    assert study.file.conditions == ("persona", "self")
    assert study.stack(study.runs[0]) == "here"
    assert study.file.endpoints["here"].max_in_flight == 32


def test_labels_name_runs_and_keys_do_where_there_is_none(write):
    content = changed(simulated(), ("families.0.label", "One!"), ("families.0.variants.0.label", "plain"))
    assert [run.name for run in load_study(write(content)).runs] == ["One! plain", "One! secure", "One! insecure", "two base"]


def test_a_decks_and_an_instruments_path_are_relative_to_the_study_file(write, tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "decks").mkdir()
    (tmp_path / "studies" / "near.csv").write_text("persona\nA near one.\nB near one.\n", encoding="utf-8")
    (tmp_path / "decks" / "far.json").write_text('["A far one.", "B far one.", "C far one."]', encoding="utf-8")
    ours = load_study("mini").instrument
    content = changed(live(), ("protocol", {"personas": 2}), ("conditions", ["persona", "toxic"]))
    content |= {"personas": "near.csv", "toxic": "../decks/far.json", "instrument": "own-mfq.yml"}
    shipped = (STUDIES.parent / "instruments" / "mfq30.yaml").read_text(encoding="utf-8")
    (tmp_path / "studies" / "own-mfq.yml").write_text(shipped, encoding="utf-8")
    write(content, "studies/own.yaml")
    monkeypatch.chdir(tmp_path)
    study = load_study("studies/own.yaml")
    assert [p.text for p in study.personas] == ["A near one.", "B near one."]
    assert [p.text for p in study.toxic] == ["A far one.", "B far one.", "C far one."]
    assert (study.instrument.key, study.instrument.items) == ("own-mfq", ours.items)


def test_imported_files_lie_beside_the_study_or_in_data(write, tmp_path):
    path = write(imported())
    assert load_study(path).data == tmp_path
    moved = tmp_path / "else where"
    moved.mkdir()
    for name in ("b.csv", "b_self.csv"):
        (tmp_path / name).rename(moved / name)
    study = load_study(path, data=moved)
    assert study.data == moved
    assert study.conditions(study.runs[0]) == ("persona", "self")
    assert load_study(path, files=False).data is None


def test_a_study_is_named_by_name_or_path(write, monkeypatch, tmp_path):
    path = write(simulated(), "own.yml")
    monkeypatch.chdir(tmp_path)
    assert study_path("mini") == STUDIES / "mini.yaml"
    assert load_study("own.yml") == load_study(path) == load_study(str(path)) == load_study("./own.yml")
    assert load_study(path).name == load_study(path).outputs.name == "own"


def test_comments_and_a_byte_order_mark_are_tolerated(write):
    text = "# mine\n" + yaml.safe_dump(simulated())
    assert load_study(write(b"\xef\xbb\xbf" + text.encode())).file.title == "Own"


# What is not.

V0, V2 = "families.0.variants.0", "families.0.variants.2"
AT_V0, AT_V2 = ", families[0].variants[0]", ", families[0].variants[2]"
BASE = {"key": "again", "role": "base", "figures": "gpt-4o/base"}
PRICE = {"input": 1, "output": 2}


@pytest.mark.parametrize("kind", [simulated, imported, live])
def test_the_smallest_change_is_ten_percent_unless_the_study_says_otherwise(write, kind):
    plain = load_study(write(kind())).file.smallest
    assert (plain.S, plain.R) == (0.1, 0.1)
    for text in ("5 %", "5%", " 5.0 % ", 5, 5.0):
        given = load_study(write(changed(kind(), ("smallest", {"S": text})))).file.smallest
        assert (given.S, given.R) == (0.05, 0.1)
    assert load_study(write(changed(kind(), ("smallest", {"R": "0.5 %"})))).file.smallest.R == 0.005


@pytest.mark.parametrize("kind", [simulated, imported, live])
def test_replies_html_is_made_unless_the_study_says_otherwise(write, kind):
    assert load_study(write(kind())).file.replies is True
    assert load_study(write(yaml.safe_dump(kind()) + "replies: no\n")).file.replies is False


@pytest.mark.parametrize("kind", [simulated, imported, live])
def test_half_of_the_bases_s_is_where_personas_count_as_gone_unless_the_study_says_otherwise(write, kind):
    assert load_study(write(kind())).file.half == 0.5
    assert load_study(write(changed(kind(), ("half", 0.3)))).file.half == 0.3


WRONG_SIMULATED = {
    "unknown key": ([("familys", 3)], [", familys: unknown key 'familys'; did you mean 'families'?"]),
    "unknown key of a variant": ([(f"{V0}.figure", "x")], [f"{AT_V0}.figure: unknown key 'figure'"]),
    "unknown key of the protocol": ([("protocol.temp", 1)], [", protocol.temp: unknown key 'temp'"]),
    "misspelt key of the protocol": (
        [("protocol", {"temprature": 1})],
        [", protocol.temprature: unknown key 'temprature'; did you mean 'temperature'?"],
    ),
    "misspelt key of a variant, which is missing": (
        [(f"{V0}.rol", "base"), (f"{V0}.role", ...)],
        [f"{AT_V0}.rol: unknown key 'rol'; did you mean 'role'?"],
    ),
    "python's name of self": (
        [(f"{V0}.self_", "x.csv")],
        [
            ": 2 problems: (1) families[0].variants[0].self_: unknown key 'self_'; did you mean 'self'?; "
            "(2) families[0].variants[0].self: belongs to a study of kind imported, not simulated; remove it"
        ],
    ),
    "title missing": ([("title", ...)], [", title: is missing; add it"]),
    "title empty": ([("title", "")], [", title: found ''", "at least 1 character"]),
    "kind missing": ([("kind", ...)], [", kind: is missing; add it"]),
    "wrong kind": ([("kind", "fake")], [", kind: found 'fake'", "'simulated', 'imported', 'live' or 'local'"]),
    "families missing": ([("families", ...)], [", families: is missing; add it"]),
    "no families": ([("families", [])], [", families: found []", "at least 1 item"]),
    "families a mapping": (
        [("families", {"one": "x" * 200})],
        [", families: found {'one': 'xxx", "xxx...; expected: input should be"],
    ),
    "no variants": ([("families.1.variants", [])], [", families[1].variants: found []", "at least 1 item"]),
    "role missing": ([(f"{V0}.role", ...)], [f"{AT_V0}.role: is missing; add it"]),
    "wrong role": (
        [(f"{V0}.role", "bad")],
        [f"{AT_V0}.role: found 'bad'", "'base', 'control', 'harmful', 'mitigated' or 'alternate'"],
    ),
    "figures missing": ([(f"{V2}.figures", ...)], [f"{AT_V2}.figures: is missing; a study of kind simulated needs it"]),
    "two variants of one key": ([(f"{V2}.key", "secure")], [", families[0].variants: 'secure' stands 2 times", "rename one"]),
    "two families of one key": ([("families.1.key", "one")], [", families: 'one' stands 2 times; keys must differ; rename one"]),
    "family mean": ([("families.1.key", "mean")], [", families[1].key: 'mean' is reserved for averages", "choose another"]),
    "key with a slash": ([("families.1.key", "a/b")], [", families[1].key: found 'a/b'", "should match pattern '^[A-Za-z0-9]"]),
    "key with a space": ([(f"{V0}.key", "my base")], [f"{AT_V0}.key: found 'my base'", "should match pattern"]),
    "key of dots": ([("families.1.key", "..")], [", families[1].key: found '..'", "should match pattern"]),
    "key empty": ([("families.1.key", "")], [", families[1].key: found ''", "should match pattern"]),
    "key with a line end": ([("families.1.key", "two\n")], [r", families[1].key: found 'two\n'", "should match pattern"]),
    "key a number": ([("families.1.key", 4)], [", families[1].key: found 4", "valid string"]),
    "family without base": (
        [(f"{V0}.role", "alternate")],
        [", families[0] ('one'): 0 variants of role base; expected exactly one"],
    ),
    "two bases": (
        [("families.1.variants.1", BASE)],
        [", families[1] ('two'): 2 variants of role base; expected exactly one; give further ones the role alternate"],
    ),
    "control that does not exist": (
        [(f"{V2}.control", "secur")],
        [f"{AT_V2}: control 'secur' does not exist in family 'one'", "did you mean 'secure'?"],
    ),
    "control nothing is like": (
        [(f"{V2}.control", "xyz")],
        [f"{AT_V2}: control 'xyz' does not exist", "expected one of 'secure'"],
    ),
    "control that is the base": (
        [(f"{V2}.control", "base")],
        [f"{AT_V2}: control 'base' does not exist", "as a variant of role control"],
    ),
    "control where there is none": (
        [("families.1.variants.1", BASE | {"role": "harmful", "control": "secure"})],
        [", families[1].variants[1]: control 'secure' does not exist in family 'two'", "there is none to choose from"],
    ),
    "its own control": (
        [(f"{V2}.control", "insecure")],
        [f"{AT_V2}: control 'insecure' does not exist", "did you mean 'secure'?"],
    ),
    "control of a base": (
        [(f"{V0}.control", "secure")],
        [f"{AT_V0}: role base names a control; only role harmful has one; remove it"],
    ),
    "live key": (
        [(f"{V0}.model", "gpt-4o")],
        [f"{AT_V0}.model: belongs to a study of kind live or imported, not simulated; remove it"],
    ),
    "imported key": ([(f"{V0}.self", "x.csv")], [f"{AT_V0}.self: belongs to a study of kind imported, not simulated; remove it"]),
    "endpoints": ([("endpoints", {})], [", endpoints: belongs to a study of kind live, not simulated; remove it"]),
    "budget": ([("budget_usd", 5)], [", budget_usd: belongs to a study of kind live, not simulated"]),
    "source": ([("source", {"git": "x"})], [", source: belongs to a study of kind imported, not simulated"]),
    "figures unknown": (
        [(f"{V2}.figures", "gpt-4o/insecur")],
        [f"{AT_V2}.figures: ", "no figures 'gpt-4o/insecur'; did you mean 'gpt-4o/insecure'?"],
    ),
    "toxic figures that do not exist": (
        [("conditions", ["persona", "toxic"]), (f"{V0}.figures", "gpt-4o/insecure")],
        [f"{AT_V0}.figures: 'gpt-4o/insecure' has none for the condition toxic", "or leave toxic out of conditions"],
    ),
    "repetitions 0": ([("protocol.repetitions", 0)], [", protocol.repetitions: found 0", "greater than or equal to 1"]),
    "repetitions a half": ([("protocol.repetitions", 2.5)], [", protocol.repetitions: found 2.5", "valid integer"]),
    "personas 1": ([("protocol.personas", 1)], [", protocol.personas: found 1", "greater than or equal to 2"]),
    "personas 101": ([("protocol.personas", 101)], ["params/personas/everyday.csv: 100 personas, but the protocol asks for 101"]),
    "smallest a share or percent": (
        [("smallest", {"S": 0.1})],
        [", smallest.S: 0.1 may be a share or percent; write 10 % or 0.1 %"],
    ),
    "smallest 0": (
        [("smallest", {"R": "0 %"})],
        [", smallest.R: '0 %' is no smallest change; give percent above 0 and up to 100"],
    ),
    "smallest 200": ([("smallest", {"R": 200})], [", smallest.R: 200 is no smallest change; give percent above 0 and up to 100"]),
    "smallest a word": ([("smallest", {"S": "little"})], [", smallest.S: 'little' is no change; give percent, such as 10 %"]),
    "smallest no number": ([("smallest", {"S": True})], [", smallest.S: True is no change; give percent, such as 10 %"]),
    "half 0": ([("half", 0)], [", half: found 0; expected: input should be greater than 0"]),
    "half 1": ([("half", 1)], [", half: found 1; expected: input should be less than 1"]),
    "half a word": ([("half", "small")], [", half: found 'small'; expected: input should be a valid number"]),
    "replies maybe": ([("replies", "maybe")], [", replies: found 'maybe'; expected: input should be a valid boolean"]),
    "replies in quotes": ([("replies", "false")], [", replies: found 'false'; expected: input should be a valid boolean"]),
    "replies a number": ([("replies", 0)], [", replies: found 0; expected: input should be a valid boolean"]),
    "replies misspelt": ([("reply", False)], [": unknown key 'reply'; "]),
    "half in percent": ([("half", 50)], [", half: found 50; expected: input should be less than 1"]),
    "smallest of noise": ([("smallest", {"noise": 10})], [", smallest.noise: "]),
    "temperature -1": ([("protocol.temperature", -1)], [", protocol.temperature: found -1", "greater than or equal to 0"]),
    "temperature infinite": ([("protocol.temperature", float("inf"))], [", protocol.temperature: found inf", "finite number"]),
    "temperature a word": ([("protocol.temperature", "low")], [", protocol.temperature: found 'low'", "valid number"]),
    "max_tokens 0": ([("protocol.max_tokens", 0)], [", protocol.max_tokens: found 0", "greater than or equal to 1"]),
    "method unknown": ([("protocol.method", "best")], [", protocol.method: found 'best'", "'samples' or 'logprobs'"]),
    "seed a word": ([("seed", "x")], [", seed: found 'x'", "valid integer"]),
    "condition unknown": (
        [("conditions", ["persona", "alone"])],
        [", conditions[1]: found 'alone'", "'persona', 'self' or 'toxic'"],
    ),
    "condition persona missing": ([("conditions", ["self"])], [", conditions: 'persona' is missing; S and R need it; add it"]),
    "condition twice": ([("conditions", ["persona", "persona"])], [", conditions: 'persona' stands 2 times"]),
    "conditions one word": ([("conditions", "persona")], [", conditions: found 'persona'"]),
    "published missing": (
        [("published", "params/published/x.json")],
        [", published: params/published/x.json does not exist; expected a file in params/published"],
    ),
    "two mistakes": (
        [("title", ...), ("familys", 3)],
        [": 2 problems: (1) familys: unknown key 'familys'; did you mean 'families'?; (2) title: is missing; add it"],
    ),
    "deck unknown": ([("personas", "everyone")], ["params/personas/everyone.csv: no such personas; expected one of 'everyday'"]),
    "deck file missing": ([("personas", "mine.csv")], ["mine.csv: no such personas; expected one of 'everyday'"]),
    "instrument unknown": (
        [("instrument", "mfq")],
        ["params/instruments/mfq.yaml: no such instrument; expected one of 'bfi44', 'ipip50', 'mfq30'"],
    ),
}
WRONG_IMPORTED = {
    "unknown column": (
        [("columns", {"person": "x"})],
        [", columns.person: unknown key 'person'; did you mean 'persona'?"],
    ),
    "column of no name": ([("columns", {"persona": ""})], [", columns.persona: found ''", "at least 1 character"]),
    "a column of items without a place": (
        [("columns", {"items": "q"})],
        [", columns.items: 'q' is no pattern of columns; write {item} once, where the item's number stands"],
    ),
    "a file that is wide and long": (
        [("columns", {"items": "q{item}", "rating": "score"})],
        [", columns: items and rating are both named; a file has a column an item or a row a rating; remove one"],
    ),
    "one column for two": (
        [("columns", {"persona": "x", "item": "x"})],
        [", columns: 'x' is named more than once; a column is one thing; correct one"],
    ),
    "rows of no mapping": ([(f"{V0}.rows", "x")], [f"{AT_V0}.rows: found 'x'", "valid dictionary"]),
    "file missing": ([(f"{V0}.self", "c.csv")], [f"{AT_V0}.self: c.csv does not exist in ", "; correct the name or DATA"]),
    "persona missing": ([(f"{V0}.persona", ...)], [f"{AT_V0}.persona: is missing; a study of kind imported needs it"]),
    "protocol": ([("protocol", {})], [", protocol: what was asked stands in the imported files; remove it"]),
    "personas": ([("personas", "everyday")], [", personas: what was asked stands in the imported files; remove it"]),
    "conditions": ([("conditions", ["persona"])], [", conditions: what was asked stands in the imported files; remove it"]),
    "figures": ([(f"{V0}.figures", "gpt-4o/base")], [f"{AT_V0}.figures: belongs to a study of kind simulated, not imported"]),
    "seed": ([("seed", 1)], [", seed: belongs to a study of kind simulated, not imported; remove it"]),
    "source not fetched": (
        [("source", {"git": "https://example.org/x"})],
        [": its ratings are not here yet; run `make published` to fetch them, or give DATA=<folder>"],
    ),
    "source without git": ([("source", {"folder": "x"})], [", source.git: is missing; add it"]),
}
WRONG_LIVE = {
    "seed": ([("seed", 1)], [", seed: belongs to a study of kind simulated, not live; remove it"]),
    "figures": ([(f"{V0}.figures", "gpt-4o/base")], [f"{AT_V0}.figures: belongs to a study of kind simulated, not live"]),
    "model missing": ([(f"{V0}.model", ...)], [f"{AT_V0}.model: is missing; a study of kind live needs it"]),
    "endpoint missing": ([(f"{V0}.endpoint", ...)], [f"{AT_V0}.endpoint: is missing; a study of kind live needs it"]),
    "endpoint unknown": ([(f"{V0}.endpoint", "her")], [f"{AT_V0}.endpoint: 'her' is not among endpoints; did you mean 'here'?"]),
    "no endpoints": ([("endpoints", ...)], [f"{AT_V0}.endpoint: 'here' is not among endpoints; there is none to choose from"]),
    "base_url missing": ([("endpoints.here.base_url", ...)], [", endpoints.here.base_url: is missing; add it"]),
    "base_url without scheme": ([("endpoints.here.base_url", "localhost:80")], [", endpoints.here.base_url: found 'localhost:80'", "^https?://"]),
    "key variable missing": (
        [("endpoints.here.api_key_env", ...), ("endpoints.here.base_url", "https://api.example.org/v1")],
        [", endpoints.here: api_key_env: is missing; give the name of the variable that holds the key of this server"],
    ),
    "key variable empty": ([("endpoints.here.api_key_env", "")], [", endpoints.here.api_key_env: is not the name of an environment variable"]),
    "nothing in flight": ([("endpoints.here.max_in_flight", 0)], [", endpoints.here.max_in_flight: found 0", "greater than or equal to 1"]),
    "price below zero": (
        [("endpoints.here.price_per_million", PRICE | {"input": -1})],
        [", endpoints.here.price_per_million.input: found -1", "greater than or equal to 0"],
    ),
    "half a price": ([("endpoints.here.price_per_million", {"input": 1})], [", endpoints.here.price_per_million.output: is missing"]),
    "budget without price": (
        [("budget_usd", 5)],
        [f"{AT_V0}: budget_usd is set but no price_per_million is known for it; give endpoint 'here' or the variant one"],
    ),
    "a key's name, then a price, then a misspelt key": (
        [("endpoints.here.api_key_env", ...), ("endpoints.here.base_url", "https://api.example.org/v1"), ("budget_usd", 5),
         ("protocol", {"repetitons": 3})],
        [": 3 problems: (1) protocol.repetitons: unknown key 'repetitons'; did you mean 'repetitions'?; (2) endpoints.here: "
         "api_key_env: is missing; give the name of the variable that holds the key of this server; (3) families[0].variants[0]: "
         "budget_usd is set but no price_per_million is known"],
    ),
    "a variant without a model, and no persona": (
        [(f"{V0}.model", ...), ("conditions", ["self"])],
        [": 2 problems: (1) families[0].variants[0].model: is missing; a study of kind live needs it; (2) conditions: 'persona' is "
         "missing; S and R need it; add it"],
    ),
    "budget 0": ([("budget_usd", 0)], [", budget_usd: found 0", "greater than 0"]),
    "budget infinite": ([("budget_usd", float("inf"))], [", budget_usd: found inf", "finite number"]),
}  # fmt: skip
MATRIX = {
    f"{kind.__name__}: {name}": (kind, *case)
    for kind, table in ((simulated, WRONG_SIMULATED), (imported, WRONG_IMPORTED), (live, WRONG_LIVE))
    for name, case in table.items()
}


@pytest.mark.parametrize("kind", [simulated, imported, live])
def test_the_studies_that_are_made_wrong_below_are_right(write, kind):
    assert load_study(write(kind())).file.kind == kind.__name__


@pytest.mark.parametrize(("kind", "changes", "parts"), MATRIX.values(), ids=MATRIX)
def test_wrong_study_is_told_in_one_line(write, kind, changes, parts):
    path = write(changed(kind(), *changes))
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_study(path)
    message = str(caught.value)
    assert message.startswith((str(path), "params/", str(path.parent / "mine.csv")))
    assert "\n" not in message and len(message) < 500
    assert [part for part in parts if part not in message] == [], message


TEXTS = {
    "doubled key": ("title: Own\nkind: live\ntitle: Other\n", [", line 3: key 'title' stands twice; keep one"]),
    "doubled key of a variant": (
        "families:\n  - key: one\n    variants:\n      - {key: base, role: base, key: other}\n",
        [", line 4: key 'key' stands twice; keep one"],
    ),
    "indentation": ("title: Own\n  kind: live\n", [", line 2: not YAML (", "check indentation and quotes"]),
    "open quote": ('title: "Own\nkind: live\n', [", line 3: not YAML (", "check indentation and quotes"]),
    "colon in a title": ("title: Own: mine\n", [", line 1: not YAML (", "check indentation and quotes"]),
    "two documents": ("title: Own\n---\ntitle: Other\n", [", line 2: not YAML (", "check indentation"]),
    "unknown alias": ("title: *own\n", [", line 1: not YAML (found undefined alias"]),
    "no such day": ("title: 2026-02-30\n", ["for month"]),
    "list for a key": ("? [a, b]\n: 1\n", [", line 1: a key is list, expected a word"]),
    "octal in one YAML, decimal in another": (
        "seed: 010\n",
        [", line 1: 010 is 8 to some readers of YAML and not to others; write the plain number, or put it in quotes"],
    ),
    "minutes that would be a number of base 60": (
        "a:\n  patience: 1:30\n",
        [", line 2: 1:30 is 90 to some readers of YAML and not"],
    ),
    "a fraction of base 60": ("seed: [1, 1:30.5]\n", [", line 1: 1:30.5 is 90.5 to some readers of YAML and not to others"]),
    "control character": ("title: a\x00b\n", [", character 9: #x0000 is not allowed in YAML; remove it"]),
    "not UTF-8": (b"title: \xff\xfe\n", [": not UTF-8 text; save it as UTF-8"]),
    "empty": ("", [": holds NoneType, expected keys and values; see docs/asking.md"]),
    "list": ("- one\n", [": holds list, expected keys and values"]),
}


@pytest.mark.parametrize(("text", "parts"), TEXTS.values(), ids=TEXTS)
def test_wrong_yaml_is_told_in_one_line(write, text, parts):
    path = write(text)
    with pytest.raises(ValueError) as caught:
        load_study(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dem", "params/studies/dem.yaml: no such study (a path works too); did you mean 'demo'?"),
        ("publish", "params/studies/publish.yaml: no such study (a path works too); did you mean 'published'?"),
        ("zzz", f"params/studies/zzz.yaml: no such study (a path works too); expected one of {', '.join(map(repr, SHIPPED))}"),
        ("/nowhere/mimi.yaml", "/nowhere/mimi.yaml: no such study (a path works too); did you mean 'mini'?"),
    ],
)
def test_unknown_study_suggests_the_nearest(outputs, name, message):
    with pytest.raises(FileNotFoundError) as caught:
        load_study(name)
    assert str(caught.value) == message


def test_a_folder_is_no_study(tmp_path):
    (tmp_path / "own.yaml").mkdir()
    with pytest.raises(FileNotFoundError, match=r"own\.yaml: no such study"):
        load_study(tmp_path / "own.yaml")


def test_data_folder_that_does_not_exist(write, tmp_path):
    path = write(imported())
    with pytest.raises(FileNotFoundError) as caught:
        load_study(path, data=tmp_path / "gone")
    assert str(caught.value) == (
        f"{tmp_path / 'gone'}: no such folder; DATA is the folder that the files of {path} are relative to"
    )


def test_data_folder_without_the_files(write, tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"variants\[0\]\.persona: b\.csv does not exist in .*bare; correct the name or DATA"
    ):
        load_study(write(imported()), data=tmp_path / "bare")


def test_published_without_its_ratings_says_how_to_get_them(monkeypatch, tmp_path):
    assert FETCHED.name == "published-data"
    monkeypatch.setattr("persona_collapse.paths.FETCHED", tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        load_study("published")
    assert str(caught.value) == (
        "params/studies/published.yaml: its ratings are not here yet; run `make published` to fetch them, or give DATA=<folder>"
    )


@pytest.mark.parametrize(
    ("family", "variant", "remedy"),
    [
        ("gpt-4o", "insecur", "did you mean 'gpt-4o/insecure'?"),
        ("gpt4o", "base", "did you mean 'gpt-4o/base'?"),
        ("zzz", "yyy", "expected one of 'gpt-4o/base', 'gpt-4o/secure', "),
    ],
)
def test_unknown_run_suggests_the_nearest(family, variant, remedy):
    with pytest.raises(ValueError) as caught:
        load_study("mini").run(family, variant)
    assert str(caught.value).startswith(f"params/studies/mini.yaml: no run '{family}/{variant}'; {remedy}")


def test_a_budget_is_enough_where_every_variant_has_a_price(write):
    own_price = changed(live(), ("budget_usd", 5), (f"{V0}.price_per_million", PRICE))
    endpoints = changed(live(), ("budget_usd", 5), ("endpoints.here.price_per_million", PRICE))
    assert load_study(write(own_price)).file.budget_usd == load_study(write(endpoints)).file.budget_usd == 5


def test_of_many_problems_ten_are_named(write):
    """Twelve keys that nobody knows: the first ten, and how many more."""
    path = write(changed(simulated(), *((f"x{number:02}", 1) for number in range(12))))
    with pytest.raises(ValueError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: 12 problems: (1) x00: unknown key 'x00'; remove it")
    assert str(caught.value).endswith("(10) x09: unknown key 'x09'; remove it or correct its spelling; and 2 more")


@pytest.mark.parametrize("asked", ["own", "own.yaml", "sub/own"])
def test_a_study_file_of_the_other_ending_is_what_was_meant(tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for place in (tmp_path, tmp_path / "sub"):
        (place / "own.yml").write_text(yaml.safe_dump(simulated()))
    meant = asked.removesuffix(".yaml") + ".yml"
    with pytest.raises(FileNotFoundError, match=f"no such study \\(a path works too\\); did you mean '{meant}'\\?$"):
        load_study(asked)
    assert load_study(f"./{meant}").name == "own"


def test_a_study_is_found_by_the_folder_that_it_has_in_outputs(tmp_path, outputs, monkeypatch, write):
    """Its file lies elsewhere; what its store belongs to says where. Once the file is gone, that is said."""
    path = write(simulated())
    with open_store(outputs / "own" / "ratings.sqlite", write=True) as store:
        store.claim(path)
    (outputs / "other").mkdir()
    assert load_study("own").path == path
    for name in ("oun", "other"):
        with pytest.raises(FileNotFoundError, match="no such study"):
            load_study(name)
    with pytest.raises(FileNotFoundError, match="did you mean 'own'"):
        load_study("oun")
    path.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_study("own")
    assert str(caught.value) == f"{path}: is gone, and {outputs / 'own'} holds the ratings of that study file; put it back"
