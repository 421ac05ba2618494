"""Proxies that the environment names: used where the configuration says so, and said when the client is built."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from llmswitch import Client
from llmswitch._proxies import EnvironmentProxies
from llmswitch.testing.fault_server import FaultServer, refused_port
from tests.faults.bench import KEY, PROMPT, answering
from tests.faults.test_configuration import one, refused


def proxied(url: str, **http: Any) -> dict[str, Any]:
    return {**one(base_url=url), "http": {"trust_env": True, **http}}


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No proxy of the machine that the tests run on."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_row_17_a_proxy_of_the_environment(no_proxies: pytest.MonkeyPatch, variable: str) -> None:
    """With `trust_env` the proxy that the environment names carries the requests, unless NO_PROXY exempts the host."""
    with FaultServer(answering("by the proxy")) as proxy, FaultServer(answering("straight")) as server:
        no_proxies.setenv(variable, proxy.url.removeprefix("http://"))
        with Client.from_config(proxied("http://10.1.2.3:9/v1")) as client:
            assert "by the proxy" == client.chat(PROMPT).text
        no_proxies.setenv("NO_PROXY", "127.0.0.0/8")
        with Client.from_config(proxied(server.url)) as client:
            assert "straight" == client.chat(PROMPT).text
        no_proxies.delenv("NO_PROXY")
        with Client.from_config({**proxied(server.url), "http": {"trust_env": False}}) as client:
            assert "straight" == client.chat(PROMPT).text


def test_row_17_a_proxy_of_ones_own_comes_first(no_proxies: pytest.MonkeyPatch) -> None:
    """A provider's own proxy counts before that of the environment; it may stand in a variable."""
    with FaultServer(answering("by its own")) as own, refused_port() as port:
        no_proxies.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        no_proxies.setenv("OWN_PROXY", own.url.replace("//", f"//user:{KEY}@"))
        config = proxied("http://10.1.2.3:9/v1")
        config["providers"]["t1"]["proxy"] = {"env": "OWN_PROXY"}
        with Client.from_config(config) as client:
            assert "by its own" == client.chat(PROMPT).text
            (target,) = client._setup.targets()
            assert KEY not in f"{target.scope('target')} {target.endpoint.proxy!r}"
            with pytest.raises(TypeError):
                pickle.dumps(target.endpoint)


def test_row_17_a_proxy_that_is_not_there(no_proxies: pytest.MonkeyPatch) -> None:
    """A variable that should hold a proxy and does not is said by its name, also where the provider is optional."""
    no_proxies.delenv("OWN_PROXY", raising=False)
    said = refused(one(proxy={"env": "OWN_PROXY"}, optional=True))
    assert "providers.t1.proxy: the environment variable OWN_PROXY is not set" in said


def test_row_17_a_program_of_a_web_server(no_proxies: pytest.MonkeyPatch) -> None:
    """In CGI, HTTP_PROXY is a header of whoever asks, so it is not looked at."""
    with FaultServer(answering("straight")) as server, refused_port() as port:
        no_proxies.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        no_proxies.setenv("REQUEST_METHOD", "GET")
        with Client.from_config(proxied(server.url)) as client:
            assert "straight" == client.chat(PROMPT).text


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    "value", ["://nonsense", f"http://u:{KEY}@[::1:x", "ftp://proxy:1", "http://proxy:port", "http://"]
)
def test_row_18_a_malformed_proxy_of_the_environment(no_proxies: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """It is said by its variable's name when the client is built, and not shown; without `trust_env` it is nothing."""
    no_proxies.setenv(variable, value)
    assert variable in refused(proxied("https://api.example.com"))
    Client.from_config(one(base_url="https://api.example.com"))


@pytest.mark.parametrize("value", ["10.0.0.0/99", "http://host", "a:b", "::g", "host:123456"])
def test_row_18_a_malformed_exemption(no_proxies: pytest.MonkeyPatch, value: str) -> None:
    """An entry of NO_PROXY that is neither a host nor a network is said when the client is built."""
    no_proxies.setenv("NO_PROXY", f"localhost,{value}")
    assert "NO_PROXY" in refused(proxied("https://api.example.com"))


EXEMPT = "10.0.0.0/8, ::1,[fe80::1%eth0]:80,*.example.org .internal,host:8080,fd00::/8,,"


@pytest.mark.parametrize(
    ("url", "exempt"),
    [
        ("http://10.20.30.40:9", True),
        ("http://11.20.30.40:9", False),
        ("http://[::1]:1234", True),
        ("http://[fe80::1]", True),
        ("http://[fe80::1]:81", False),
        ("http://[fd00::7]", True),
        ("http://api.example.org", True),
        ("http://example.org", True),
        ("http://notexample.org", False),
        ("https://a.b.internal", True),
        ("http://host:8080", True),
        ("http://host:8081", False),
        ("http://10.example.com", False),
    ],
)
def test_row_18_exemptions(no_proxies: pytest.MonkeyPatch, url: str, exempt: bool) -> None:
    """NO_PROXY holds names with all beneath them, addresses, networks, of IPv6 too, and ports."""
    no_proxies.setenv("ALL_PROXY", "http://127.0.0.1:1")
    no_proxies.setenv("NO_PROXY", EXEMPT)
    assert exempt == (EnvironmentProxies().proxy(url) is None)
    no_proxies.setenv("NO_PROXY", "*")
    assert EnvironmentProxies().proxy(url) is None
