"""The policy `jurisdictions`: no byte goes anywhere else, whatever fails and whoever names the target."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from llmswitch import AsyncClient, Client, ConfigError, LLMSwitchError
from llmswitch._registry import provider, provider_names
from llmswitch._scrub import scrub
from llmswitch.testing import FakeVendor
from tests.rows import rows

KEY = "CANARY-key-6b1f0c2d9a7e4853"
CN = {"jurisdictions": ["cn"]}


def answering(text: str = "hi") -> FakeVendor:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    return FakeVendor(lambda request: httpx.Response(200, json=body))


def failing(status: int = 503) -> FakeVendor:
    return FakeVendor(lambda request: httpx.Response(status, json={"error": {"message": "no"}}))


def hosts(vendor: FakeVendor) -> set[str]:
    return {request.url.host for request in vendor.requests}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ZHIPUAI_API_KEY", KEY)
    monkeypatch.setenv("OWN_KEY", "another-key-123")


# Who is asked


def test_a_mixed_chain_asks_only_those_inside():
    """Of a chain with targets here and there, those outside get no request, though they stand first."""
    vendor = answering()
    config = {"policy": CN, "default": "openai:gpt-5,zhipu:glm-4.6"}
    client = Client.from_config(config, http_client=vendor)
    assert "zhipu" == client.chat("Hi").provider
    assert "hi" == "".join(client.stream("Hi").text)
    assert {"open.bigmodel.cn"} == hosts(vendor)


def test_async_asks_only_those_inside():
    """The async client keeps to the policy too."""
    vendor = answering()
    config = {"policy": CN, "default": "openai:gpt-5,zhipu:glm-4.6"}

    async def ask() -> None:
        client = AsyncClient.from_config(config, http_client=vendor)
        await client.chat("Hi")
        async with client.stream("Hi") as stream:
            async for _event in stream:
                pass

    asyncio.run(ask())
    assert {"open.bigmodel.cn"} == hosts(vendor)


@rows("status", [401, 402, 404, 429, 500, 503])
def test_a_failure_inside_never_leads_outside(status):
    """When the only allowed target fails, its own error is raised; nobody outside is asked instead."""
    vendor = failing(status)
    config = {
        "policy": CN,
        "chains": {"a": {"targets": ["openai:gpt-5", "zhipu:glm-4.6", "openai:gpt-4.1"], "timeout": 2}},
        "default": "a",
    }
    with pytest.raises(LLMSwitchError) as caught:
        Client.from_config(config, http_client=vendor).chat("Hi")
    assert "zhipu:glm-4.6" == caught.value.target
    assert {"open.bigmodel.cn"} == hosts(vendor)


def test_the_order_inside_stays():
    """Targets inside are asked in the chain's own order."""
    vendor = FakeVendor(lambda request: httpx.Response(503, json={"error": {"code": "1305", "message": "busy"}}))
    config = {"policy": CN, "default": "zhipu:glm-4.6,openai:gpt-5,zhipu:glm-5"}
    with pytest.raises(LLMSwitchError) as caught:
        Client.from_config(config, http_client=vendor).chat("Hi", timeout=2)
    asked = list(dict.fromkeys(attempt.target for attempt in caught.value.attempts))
    assert ["zhipu:glm-4.6", "zhipu:glm-5"] == asked


class Listener:
    """A port that counts connections and hangs up."""

    def __init__(self) -> None:
        self.met = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                met, _ = self.socket.accept()
            except OSError:
                return
            self.met += 1
            met.close()


@pytest.fixture
def ports() -> Iterator[tuple[Listener, Listener]]:
    pair = Listener(), Listener()
    yield pair
    for each in pair:
        each.socket.close()


def test_not_even_a_connection_is_opened(ports):
    """Over real sockets: the target outside is not connected to, not even after the one inside has failed."""
    inside, outside = ports
    config = {
        "policy": CN,
        "providers": {
            "here": {"dialect": "openai", "base_url": inside.url, "jurisdiction": "cn"},
            "there": {"dialect": "openai", "base_url": outside.url, "jurisdiction": "us"},
        },
        "default": "there:x,here:x",
    }
    with Client.from_config(config) as client, pytest.raises(LLMSwitchError):
        client.chat("Hi", timeout=2)
    assert (True, 0) == (inside.met > 0, outside.met)


# Nobody is left: said when the configuration is loaded


DOORS = {
    "default": lambda: Client.from_config({"policy": CN, "default": "openai:gpt-5"}),
    "chain": lambda: Client.from_config(
        {"policy": CN, "chains": {"a": {"targets": [{"target": "openai:gpt-5", "max_tokens": 9}]}}, "default": "a"}
    ),
    "inline": lambda: Client(["openai:gpt-5", "openai:gpt-4.1"], config={"policy": CN}),
    "one": lambda: Client("openai:gpt-5", config={"policy": CN}),
    "provider": lambda: Client("openai", config={"policy": CN}),
}


@rows("door", DOORS)
def test_a_chain_left_with_nobody_says_so_at_load(door):
    """Whoever names the chain, it is a `ConfigError` that names policy, target and place; the key is not in it."""
    with pytest.raises(ConfigError) as caught:
        DOORS[door]()
    said = str(caught.value)
    assert "has nobody left to ask: policy.jurisdictions allows cn alone" in said
    assert "openai:gpt-" in said
    assert "is in: us" in said
    assert KEY not in said


def test_by_the_environment(monkeypatch):
    """`LLMSWITCH_MODEL` does not lead outside either."""
    monkeypatch.setenv("LLMSWITCH_MODEL", "openai:gpt-5")
    with pytest.raises(ConfigError, match="allows cn alone"):
        Client.from_config({"policy": CN, "default": "zhipu:glm-4.6"})


def test_by_the_keys_in_the_environment(monkeypatch, tmp_path):
    """With nothing but a policy, the chain is of the keys that are there, as far as the policy goes."""
    vendor = answering()
    assert "zhipu" == Client.from_config({"policy": CN}, http_client=vendor).chat("Hi").provider
    assert {"open.bigmodel.cn"} == hosts(vendor)
    monkeypatch.delenv("ZHIPUAI_API_KEY")
    with pytest.raises(ConfigError, match=r"openai:gpt-5.4-mini is in: us"):
        Client.from_config({"policy": CN})


def test_by_the_call():
    """A call that names a target outside is refused before a byte is sent."""
    vendor = answering()
    client = Client.from_config({"policy": CN, "default": "zhipu:glm-4.6"}, http_client=vendor)
    for model in ("openai:gpt-5", "openai", "openai:gpt-5,openai:gpt-4.1"):
        with pytest.raises(ConfigError, match="allows cn alone"):
            client.chat("Hi", model=model)
    assert [] == vendor.requests
    assert "zhipu" == client.chat("Hi", model="openai:gpt-5,zhipu:glm-4.6").provider


def test_a_missing_key_and_a_place_outside_are_both_said():
    """Where some lack their key and the others are outside, the error says both."""
    config = {
        "policy": {"jurisdictions": ["cn"]},
        "providers": {"zhipu": {"api_key": {"env": "NOT_THERE"}, "optional": True}},
        "default": "openai:gpt-5,zhipu:glm-4.6",
    }
    with pytest.raises(ConfigError, match=r"NOT_THERE is not set.*openai:gpt-5 is in: us"):
        Client.from_config(config)


def test_an_allowed_site_of_the_same_vendor_is_named(monkeypatch):
    """The error names the vendor's site that would be allowed."""
    monkeypatch.delenv("ZHIPUAI_API_KEY")
    monkeypatch.setenv("ZAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match=r"zhipu:glm-4.6 is in: sg; zhipu has an allowed site: site = 'cn'"):
        Client.from_config({"policy": CN, "default": "zhipu:glm-4.6"})


# Where a target is


def load(own: dict[str, object], place: str = "cn", *, name: str = "zhipu") -> Client:
    config = {"policy": {"jurisdictions": [place]}, "providers": {name: own}, "default": f"{name}:glm-4.6"}
    return Client.from_config(config, http_client=answering())


def test_another_address_is_an_unknown_place():
    """A `base_url` on another host than the vendor's is nowhere that is known, until the user says where."""
    moved = {"base_url": "https://gateway.example.com/v4", "api_key": {"env": "OWN_KEY"}}
    with pytest.raises(ConfigError, match=r'is in: unknown; where you know it, say it: jurisdiction = "…"'):
        load(moved)
    assert "hi" == load({**moved, "jurisdiction": "cn"}).chat("Hi").text
    assert "hi" == load(moved, "unknown").chat("Hi").text
    elsewhere = {**moved, "base_url": "https://open.bigmodel.cn:8443/api/paas/v4"}
    with pytest.raises(ConfigError, match="is in: unknown"):
        load(elsewhere)


def test_another_path_on_the_vendors_host_is_the_same_place():
    """A `base_url` that leads to another path of the vendor's own host stays where it was."""
    assert "hi" == load({"base_url": "https://open.bigmodel.cn/api/coding/paas/v4"}).chat("Hi").text


@rows("url", ["http://127.0.0.1:9/v1", "http://10.0.0.5:8000/v1", "https://llm.example.com/v1"])
def test_a_server_of_ones_own_is_where_the_user_says(url):
    """An address tells nothing of where a server sends on what it gets: it is unknown until it is declared."""
    server = {"dialect": "openai", "base_url": url}
    with pytest.raises(ConfigError, match=r"m:glm-4.6 is in: unknown"):
        load(server, name="m")
    assert "hi" == load({**server, "jurisdiction": "local"}, "local", name="m").chat("Hi").text
    with pytest.raises(ConfigError, match=r"m:glm-4.6 is in: us"):
        load({**server, "jurisdiction": "us"}, name="m")


def test_the_embedded_model_is_local():
    """The model on this machine is in the place `local`, which has to be on the list like any other."""
    with pytest.raises(ConfigError, match="is in: local"):
        Client("local", config={"policy": CN})
    client = Client(["openai:gpt-5", "local"], config={"policy": {"jurisdictions": ["local"]}})
    assert {"local", "openai"} == {target.target.split(":")[0] for target in client.health()}
    with pytest.raises(ConfigError, match="is in: unknown"):
        Client.from_config(
            {
                "policy": {"jurisdictions": ["local"]},
                "providers": {"local": {"base_url": "https://x.example.com/v1", "api_key": {"env": "OWN_KEY"}}},
                "default": "local",
            }
        )


PROXIES = {
    "http://127.0.0.1:3128": True,
    "http://10.0.0.1:3128": True,
    "http://[::1]:3128": True,
    "http://proxy:3128": True,
    "http://proxy.corp.internal:3128": True,
    "http://8.8.8.8:3128": False,
    "http://proxy.example.com:3128": False,
    "http://user:password@proxy.example.com:1080": False,
}


@rows("proxy", PROXIES)
def test_a_proxy_is_a_place_on_the_way(proxy):
    """A proxy outside the private network may be anywhere, so the place is unknown until the user vouches for it."""
    if PROXIES[proxy]:
        load({"proxy": proxy})
    else:
        with pytest.raises(ConfigError, match="is in: unknown") as caught:
            load({"proxy": proxy})
        assert "password" not in str(caught.value)
    load({"proxy": proxy, "jurisdiction": "cn"})


def test_a_proxy_of_the_environment_is_one_too(monkeypatch):
    """Where the environment's proxies are trusted, they are places on the way like any other."""
    config = {"policy": CN, "http": {"trust_env": True}, "default": "zhipu:glm-4.6"}
    monkeypatch.setenv("HTTPS_PROXY", "http://10.0.0.1:3128")
    Client.from_config(config)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    with pytest.raises(ConfigError, match="is in: unknown"):
        Client.from_config(config)
    monkeypatch.setenv("NO_PROXY", "open.bigmodel.cn")
    Client.from_config(config)


def test_a_proxy_whose_address_is_kept_elsewhere(monkeypatch, tmp_path):
    """It is read once, and not at all where the target is outside in any case."""
    ran = tmp_path / "ran"
    monkeypatch.setenv("THE_PROXY", "http://proxy.example.com:3128")
    with pytest.raises(ConfigError, match="is in: unknown"):
        load({"proxy": {"env": "THE_PROXY"}})
    monkeypatch.setenv("THE_PROXY", "http://10.0.0.1:3128")
    load({"proxy": {"env": "THE_PROXY"}})
    command = {"command": ["sh", "-c", f"echo x >> {ran}; echo http://10.0.0.1:3128"]}
    own = {"openai": {"proxy": command}}
    Client.from_config({"policy": CN, "providers": own, "default": "openai:gpt-5,zhipu:glm-4.6"})
    assert not ran.exists()
    load({"proxy": command})
    assert "x\n" == ran.read_text()


def test_what_the_user_says_of_a_place_counts():
    """`jurisdiction` under a provider stands in place of what its file says, in both directions."""
    load({"jurisdiction": "us"}, "us")
    with pytest.raises(ConfigError, match="is in: us"):
        load({"jurisdiction": "us"})


@rows("name", provider_names())
def test_every_site_of_every_provider(name):
    """Each built-in site is asked under a policy that names its place, and under no other."""
    spec = provider(name)
    for site, facts in spec.sites.items():
        scheme = spec.schemes.get(spec.scheme or "")
        secret = {"env": "OWN_KEY"}
        secrets = {"credentials": dict.fromkeys(scheme.parts, secret)} if scheme is not None else {"api_key": secret}
        own = {"site": site, **secrets, **({"resource": "mine"} if "{resource}" in facts.base_url else {})}
        config = {"providers": {name: own}, "default": f"{name}:m"}
        Client.from_config({**config, "policy": {"jurisdictions": [facts.jurisdiction]}})
        others = sorted({"cn", "us", "sg", "eu", "global", "local", "unknown"} - {facts.jurisdiction})
        with pytest.raises(ConfigError, match="has nobody left to ask"):
            Client.from_config({**config, "policy": {"jurisdictions": others}})


# What a place is called


def test_places_are_checked_and_their_case_is_forgiven():
    """A place that can't be one is refused with its path; `CN` is `cn`; an empty list is a mistake."""
    load({}, "CN")
    for wrong in ("china", "c", "EU-1", ""):
        with pytest.raises(ConfigError, match=r"policy.jurisdictions\[0\]: a place is a country's ISO code"):
            load({}, wrong)
    with pytest.raises(ConfigError, match=r"providers.zhipu.jurisdiction: a place is"):
        load({"jurisdiction": "mainland"})
    with pytest.raises(ConfigError, match=r"policy.jurisdictions"):
        Client.from_config({"policy": {"jurisdictions": []}, "default": "zhipu:glm-4.6"})


def test_without_a_policy_all_places_are_allowed():
    """Where no policy is set, nobody is left out."""
    client = Client(["openai:gpt-5", "zhipu:glm-4.6"], config={})
    assert ["ok", "ok"] == [target.state for target in client.health()]


# Who is outside is looked at as little as can be, and can be seen


def test_the_key_of_who_is_outside_is_not_looked_for(monkeypatch, tmp_path):
    """A target outside needs no key: a missing one is no error, a `command` is not run, a file is not read."""
    monkeypatch.delenv("OPENAI_API_KEY")
    ran = tmp_path / "ran"
    for reference in ({"command": ["touch", str(ran)]}, {"file": "/nowhere/key"}, {"env": "NOT_THERE"}, None):
        own = {"api_key": reference} if reference else {}
        config = {"policy": CN, "providers": {"openai": own}, "default": "openai:gpt-5,zhipu:glm-4.6"}
        assert "hi" == Client.from_config(config, http_client=answering()).chat("Hi").text
    assert not ran.exists()


def test_the_key_of_who_is_outside_is_not_loaded(monkeypatch):
    """A key that is never needed is not taken into memory."""
    monkeypatch.setenv("OPENAI_API_KEY", "CANARY-never-loaded-51c8")
    Client.from_config({"policy": CN, "default": "openai:gpt-5,zhipu:glm-4.6"}, http_client=answering()).chat("Hi")
    assert "CANARY-never-loaded-51c8" == scrub("CANARY-never-loaded-51c8")


def test_who_is_left_out_is_seen_in_health():
    """`client.health()` lists the targets that the policy leaves out, with the place, and no reset brings them in."""
    vendor = answering()
    client = Client.from_config({"policy": CN, "default": "openai:gpt-5,openai,zhipu:glm-4.6"}, http_client=vendor)
    states = {target.target: (target.state, target.reason) for target in client.health()}
    assert {
        "zhipu:glm-4.6": ("ok", None),
        "openai:gpt-5": ("excluded", "jurisdiction us"),
        "openai:gpt-5.4-mini": ("excluded", "jurisdiction us"),
    } == states
    client.reset("openai:gpt-5")
    client.chat("Hi")
    assert {"open.bigmodel.cn"} == hosts(vendor)


def test_a_drill_does_not_lead_outside():
    """When the allowed target is drilled to fail, nobody outside is asked."""
    vendor = answering()
    config = {"policy": CN, "default": "zhipu:glm-4.6,openai:gpt-5", "drill": {"zhipu": "overloaded"}}
    with pytest.raises(LLMSwitchError):
        Client.from_config(config, http_client=vendor).chat("Hi", timeout=1)
    assert [] == vendor.requests
