"""Where weights are, which files are read and which never, and when they are the same: nothing of it needs torch."""

import json

import pytest

from persona_collapse.weights import files

WHERE = "study.yaml, f/base, weights"


def folder(path, *names, config="{}"):
    path.mkdir(parents=True)
    for name in names:
        (path / name).write_bytes(b"weights of " + name.encode())
    if config is not None:
        (path / "config.json").write_text(config)
    return path


def adapter(path, *, kind="LORA", weights=b"weights"):
    path.mkdir(parents=True)
    (path / "adapter_config.json").write_text(json.dumps({"peft_type": kind}))
    if weights is not None:
        (path / "adapter_model.safetensors").write_bytes(weights)
    return path


def test_a_folder_of_safetensors_and_a_gguf_file_are_found_beside_the_study_file(tmp_path):
    own = folder(tmp_path / "m", "model-00001-of-00002.safetensors")
    assert files.find_weights(WHERE, "m", tmp_path) == own
    assert files.find_weights(WHERE, str(own), tmp_path / "elsewhere") == own
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert files.find_weights(WHERE, "m.gguf", tmp_path) == tmp_path / "m.gguf"


@pytest.mark.parametrize(
    ("made", "name", "said"),
    [
        (lambda at: None, "m/nowhere/at/all", "'m/nowhere/at/all' does not exist; expected a folder with config.json and safetensors"),
        (lambda at: (at / "m").write_text("x"), "m", "'m' is a file that is no GGUF file; expected a folder with safetensors, or a .gguf file"),
        (lambda at: folder(at / "m", "pytorch_model.bin"), "m", "pytorch_model.bin in .* is a pickle, which can run code when it is read, and is not"),
        (lambda at: folder(at / "m", "model.pt"), "m", "model.pt in .* is a pickle"),
        (lambda at: folder(at / "m"), "m", "has no weights: it holds 'config.json'; expected safetensors, or the name of a .gguf file"),
        (lambda at: folder(at / "m", config=None), "m", "has no weights: it holds nothing; expected safetensors"),
        (lambda at: folder(at / "m", "model.safetensors", config=None), "m", "'m' has no config.json; expected a folder as transformers saves"),
        (lambda at: adapter(at / "m"), "m", "'m' has no config.json; it holds an adapter: give it as `adapter:`"),
    ],
)  # fmt: skip
def test_what_is_no_weights_is_refused_in_one_line(tmp_path, made, name, said):
    made(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as raised:
        files.find_weights(WHERE, name, tmp_path)
    assert str(raised.value).startswith(f"{WHERE}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda at: None, "'a' does not exist; expected a folder with adapter_config.json and adapter_model.safetensors"),
        (lambda at: adapter(at / "a", weights=None), "has no weights: it holds 'adapter_config.json'; expected adapter_model.safetensors"),
        (lambda at: (adapter(at / "a", weights=None) / "adapter_model.bin").write_bytes(b""), "adapter_model.bin in .* is a pickle"),
        (lambda at: adapter(at / "a", kind="IA3"), "a is an adapter of type 'IA3'; expected LORA"),
        (lambda at: (adapter(at / "a") / "adapter_config.json").write_text("{"), r"a/adapter_config.json cannot be read \(JSONDecodeError\)"),
        (lambda at: (adapter(at / "a") / "adapter_config.json").write_text("[]"), "a is an adapter of type None; expected LORA"),
    ],
)  # fmt: skip
def test_what_is_no_adapter_is_refused_in_one_line(tmp_path, made, said):
    made(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as raised:
        files.find_adapter("study.yaml, f/a, adapter", "a", tmp_path)
    assert "\n" not in str(raised.value)


def test_a_training_changes_a_fingerprint_and_a_move_does_not(tmp_path):
    one = adapter(tmp_path / "one")
    before = files.fingerprint(one)
    assert files.fingerprint(adapter(tmp_path / "two")) == before
    assert files.fingerprint(one.rename(tmp_path / "three")) == before
    assert files.fingerprint(adapter(tmp_path / "four", weights=b"weightz")) != before
    (tmp_path / "three" / "README.md").write_text("says nothing of the weights")
    assert files.fingerprint(tmp_path / "three") == before


def test_a_large_file_is_read_in_pieces_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_WHOLE", 1000)
    monkeypatch.setattr(files, "_PIECE", 16)
    found = set()
    for name, changed in (("a", None), ("b", 0), ("c", 99_999)):
        content = bytearray(100_000)
        if changed is not None:
            content[changed] = 1
        found.add(files.fingerprint(adapter(tmp_path / name, weights=bytes(content))))
    assert len(found) == 3


def test_without_the_libraries_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None if name in ("torch", "peft") else object())
    with pytest.raises(RuntimeError) as raised:
        files.check_installed()
    assert str(raised.value) == (
        "open weights: 'torch', 'peft' are not installed; run `make local STUDY=...`, which installs requirements-local.txt once, "
        "then the same command again"
    )
