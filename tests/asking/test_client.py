"""Clients of an endpoint: certificates, proxies, redirects and accounts of the user's environment."""

import pytest

from live import KEY, live
from loopback import answer, serve
from persona_collapse.asking.client import connect, connect_for_batches
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.study.endpoint import Endpoint

BOTH = pytest.mark.parametrize("made", [connect, connect_for_batches])


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


def endpoint(address):
    return Endpoint(base_url=address, api_key_env="TEST_KEY")


@BOTH
def test_the_account_of_the_users_shell_goes_to_openai_alone(monkeypatch, made):
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "mine-alone")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example/v1")
    for address, sent in (("http://localhost:8000/v1", False), ("https://api.openai.com/v1", True)):
        client = made(endpoint(address))
        assert str(client.base_url).rstrip("/") == address
        headers = " ".join(str(value) for value in client.default_headers.values())
        assert ("mine-alone" in headers) == sent and (client.admin_api_key is not None) == sent


@BOTH
def test_certificates_that_cannot_be_read_are_named(monkeypatch, tmp_path, made):
    """It once was `outputs/: no such file or directory`. A file of something else is read, and holds none."""
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    for path, cause in ((tmp_path / "gone.pem", "No such file"), (tmp_path / "other.pem", "NO_CERTIFICATE")):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(ElicitationError) as caught:
            made(endpoint("https://api.example.org/v1"))
        said = str(caught.value)
        assert said.startswith("https://api.example.org/v1: the certificates that a connection needs cannot be read (")
        assert cause in said and said.endswith(f"; SSL_CERT_FILE is {str(path)!r}; correct or unset these variables")
        (tmp_path / "other.pem").write_text("no certificate")


@BOTH
def test_a_proxy_stands_before_other_machines_alone(monkeypatch, made):
    """Where nothing is said in NO_PROXY either."""
    for address, through in (
        ("http://127.0.0.1:1/v1", False), ("http://localhost:1/v1", False), ("http://[::1]:1/v1", False),
        ("https://api.example.org/v1", True), ("http://127.example.org/v1", True),
    ):  # fmt: skip
        assert made(endpoint(address))._client.trust_env == through


def test_a_server_of_ones_own_is_asked_past_a_proxy(monkeypatch, tmp_path):
    """A proxy that takes no connection; 2 personas and none, 30 items each."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with running(Options()) as server:
        assert collect(live(tmp_path, server.base_url)) == 90


def test_what_an_address_redirects_to_is_told_and_gets_no_key(tmp_path):
    with (
        serve(lambda request: answer("3")) as (elsewhere, strangers),
        serve(lambda request: (307, b"", {"Location": f"{elsewhere}/chat/completions?token=t"})) as (url, requests),
    ):
        with pytest.raises(ElicitationError) as caught:
            collect(live(tmp_path, url))
    assert f"redirects to '{elsewhere}/chat/completions' (status 307), and a key goes to no other address" in str(caught.value)
    assert len(requests) == 1 and not strangers
