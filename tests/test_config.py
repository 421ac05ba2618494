"""Configuration: found where it is said to be, wrong in ways that are said precisely, and never printing a secret."""

from __future__ import annotations

import os
import stat

import httpx
import pytest

from llmswitch import Client, ConfigError
from llmswitch._discovery import discover
from llmswitch._scrub import scrub
from llmswitch._secrets import Secret
from llmswitch.testing import FakeVendor
from tests.rows import rows

KEY = "CANARY-key-8277e0910d750195"
SERVER = {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"}


def answering(text: str = "hi") -> FakeVendor:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    return FakeVendor(lambda request: httpx.Response(200, json=body))


WRONG = [
    ({"defualt": "x"}, "defualt: unknown key (did you mean 'default'?)"),
    ({"chains": {"a": {"target": ["x:y"]}}}, "chains.a.target: unknown key (did you mean 'targets'?)"),
    ({"chains": {"a": {"targets": []}}}, "chains.a.targets"),
    (
        {"chains": {"a": {"targets": ["openai:gpt-5"], "timeout": "60"}}},
        "chains.a.timeout: input should be a valid number",
    ),
    ({"chains": {"a": {"targets": ["openai:gpt-5"], "timeout": -1}}}, "chains.a.timeout"),
    ({"chains": {"a": {"targets": [{"target": "openai:x", "max_token": 5}]}}}, "did you mean 'max_tokens'?"),
    ({"providers": {"openai": {"api_kye": KEY}}}, "providers.openai.api_kye: unknown key (did you mean 'api_key'?)"),
    ({"providers": {"openai": {"api_key": KEY}}}, "write where the key is, not the key"),
    ({"providers": {"openai": {"api_key": {"env": "A", "file": "B"}}}}, "exactly one of env, file and command"),
    ({"providers": {"openai": {"headers": {"X": KEY + "\r\nEvil: 1"}}}}, "providers.openai.headers"),
    ({"providers": {"zhipuu": {"site": "cn"}}}, "did you mean 'zhipu'"),
    ({"providers": {"mine": {"dialect": "opnai", "base_url": "http://localhost"}}}, "did you mean 'openai'"),
    ({"providers": {"mine": {"dialect": "openai"}}}, "providers.mine: base_url is needed"),
    ({"default": "opnai:gpt-5"}, "did you mean 'openai'"),
    ({"chains": {"a": {"targets": ["b"]}, "b": {"targets": ["openai:gpt-5"]}}}, "b is a chain"),
    ({"chains": {"a": {"targets": ["a"]}}}, "a is a chain"),
    ({"chains": {"a:b": {"targets": ["openai:gpt-5"]}}}, "can't hold a colon"),
    ({"providers": {"m": SERVER}, "default": "a", "chains": {"a": {"targets": ["m:x", "m:x"]}}}, "m:x is named twice"),
    ({"providers": {"m": SERVER}, "default": "m"}, "names no model: write m:MODEL"),
    (
        {"providers": {"m": {**SERVER, "options": {"max_tokens_feild": "x"}}}, "default": "m:x"},
        "options.max_tokens_feild",
    ),
    ({"providers": {"m": {**SERVER, "capabilities": {"imges": True}}}, "default": "m:x"}, "capabilities.imges"),
    ({"providers": {"zhipu": {"site": "us", "api_key": {"env": "K"}}}, "default": "zhipu:x"}, "known: cn, intl"),
    ({"policy": {"jurisdictions": ["cn"]}, "providers": {"m": SERVER}, "default": "m:x"}, "allows cn alone"),
    ({"providers": {"openai": {"headers": {"authorization": "x"}}}, "default": "openai:x"}, "can't be replaced"),
]


@pytest.mark.parametrize(("config", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_what_is_wrong_is_said_with_its_place(monkeypatch, config, said):
    """Each mistake is a `ConfigError` with its path and the way out, and no value of what may be a secret."""
    monkeypatch.setenv("K", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError) as caught:
        Client.from_config(config)
    assert said in str(caught.value)
    assert KEY not in f"{caught.value} {caught.value!r}"


def test_a_chain_in_the_program_is_a_list_of_names():
    """What else stands there, or nothing, is said as any other mistake of a configuration."""
    for given, said in (([], "the chain is empty"), ([1], "the chain is a list of targets")):
        with pytest.raises(ConfigError, match=said):
            Client(given, config={})


def test_broken_toml_names_file_and_line(tmp_path):
    """A syntax error in the file is told with the file's name and the line."""
    path = tmp_path / "llmswitch.toml"
    path.write_text('default = "a\nb"')
    with pytest.raises(ConfigError, match=rf"{path}.*line 1"):
        Client.from_file(path)
    with pytest.raises(ConfigError, match="can't be read"):
        Client.from_file(tmp_path / "nowhere.toml")


@rows(
    "url",
    [
        "ftp://example.com",
        "https://user:pw@example.com/v1",
        "https://example.com/v1#x",
        "https://example.com/v1?key=1",
        "https://httpbin.org#.openai.com/v1",
        "https://exa mple.com",
        "https://example.com:99999/v1",
        "http://api.example.com/v1",
        "http://169.254.169.254/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://metadata.google.internal/v1",
        "http://100.100.100.200/v1",
    ],
)
def test_a_base_url_that_hides_where_the_key_goes(url):
    """Addresses of the wrong scheme, with user info, to metadata services or in the clear to strangers are refused."""
    with pytest.raises(ConfigError):
        Client.from_config({"providers": {"m": {"dialect": "openai", "base_url": url}}, "default": "m:x"})


@rows(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "http://localhost/v1",
        "http://10.0.0.5:8000/v1",
        "http://vllm:8000/v1",
        "https://x.io",
    ],
)
def test_a_server_of_ones_own(url):
    """Plain http is taken for this machine, private addresses and names without a dot."""
    Client.from_config({"providers": {"m": {"dialect": "openai", "base_url": url}}, "default": "m:x"})


# Keys


@pytest.mark.parametrize(
    "value", ["", "   ", "two words", "line\nbreak", "Bearer sk-123", "naïve", "x" * 5000, "a\x00b"]
)
def test_a_key_that_cannot_stand_in_a_header(monkeypatch, value):
    """A key with a line break, a space or a prefix is refused by name, and its text is not shown."""
    if "\x00" in value:
        value = "a\x01b"
    monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ConfigError) as caught:
        Client.from_config({"providers": {"openai": {"api_key": {"env": "MY_KEY"}}}, "default": "openai:gpt-5"})
    assert "MY_KEY" in str(caught.value)
    assert value.strip() == "" or value not in str(caught.value)


def test_a_trailing_newline_is_forgiven_aloud(monkeypatch):
    """White space around a key, as files have it, is dropped with a warning."""
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    with pytest.warns(UserWarning, match="OPENAI_API_KEY"):
        Client("openai:gpt-5")


def test_a_missing_key_names_variable_and_target():
    """Without its key a target is refused at load, and the message says which variable to set."""
    with pytest.raises(ConfigError, match="openai: no key: set the environment variable OPENAI_API_KEY"):
        Client(["openai:gpt-5"])


def test_an_optional_provider_may_lack_its_key():
    """`optional = true` leaves a target without its key out of the chain."""
    config = {
        "providers": {"openai": {"optional": True}, "m": SERVER},
        "chains": {"a": {"targets": ["openai:gpt-5", "m:x"]}},
        "default": "a",
    }
    client = Client.from_config(config, http_client=answering())
    assert "m" == client.chat("Hi").provider


def test_keys_from_files_and_commands(tmp_path):
    """A key may be in a file, or be what a program prints."""
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    vendor = answering()
    for reference in ({"file": str(path)}, {"command": ["echo", KEY]}):
        config = {"providers": {"openai": {"api_key": reference}}, "default": "openai:gpt-4.1"}
        Client.from_config(config, http_client=vendor).chat("Hi")
    assert [f"Bearer {KEY}"] * 2 == [request.headers["authorization"] for request in vendor.requests]
    path.chmod(0o644)
    with pytest.warns(UserWarning, match="can be read by other users"):
        Secret.from_file(str(path))


@rows("reference", [{"file": "/nowhere/key"}, {"command": ["/nowhere/prog"]}, {"command": ["false"]}])
def test_keys_that_cannot_be_had(reference):
    """A file or a program that is not there is named."""
    with pytest.raises(ConfigError):
        Client.from_config({"providers": {"openai": {"api_key": reference}}, "default": "openai:gpt-5"})


def test_the_vendors_key_stays_with_the_vendors_hosts(monkeypatch):
    """A changed base_url does not get the key from the environment: it needs one of its own."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    moved = {"base_url": "https://proxy.example.com/v1"}
    with pytest.raises(ConfigError, match="is not sent there"):
        Client.from_config({"providers": {"openai": moved}, "default": "openai:gpt-4.1"})
    monkeypatch.setenv("PROXY_KEY", "another-key-123")
    vendor = answering()
    own = {**moved, "api_key": {"env": "PROXY_KEY"}}
    Client.from_config({"providers": {"openai": own}, "default": "openai:gpt-4.1"}, http_client=vendor).chat("Hi")
    assert "Bearer another-key-123" == vendor.requests[0].headers["authorization"]
    vendor = answering()
    Client.from_config({"providers": {"m": SERVER}, "default": "m:x"}, http_client=vendor).chat("Hi")
    assert "authorization" not in vendor.requests[0].headers


def test_secrets_are_scrubbed_in_every_spelling():
    """A loaded key is taken out of any text, URL-encoded and base64 too; its own repr is a mask."""
    secret = Secret("CANARY+key/with=signs", "test")
    assert "CANARY" not in repr(secret)
    assert "[secret] and [secret]" == scrub("CANARY+key/with=signs and CANARY%2Bkey%2Fwith%3Dsigns")


# Where it is found


def write(path, model):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'default = "m:{model}"\n[providers.m]\ndialect = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n')


def test_the_order_of_discovery(tmp_path, monkeypatch):
    """$LLMSWITCH_CONFIG, then the folder and its parents, then pyproject.toml likewise, then the user's own folder."""
    inner = tmp_path / "project" / "src"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    vendor = answering()

    def model() -> str:
        return Client(http_client=vendor).chat("Hi").model

    write(tmp_path / "home" / "llmswitch" / "llmswitch.toml", "own")
    assert "own" == model()
    (tmp_path / "project" / "pyproject.toml").write_text(
        '[tool.llmswitch]\ndefault = "m:pyproject"\n[tool.llmswitch.providers.m]\n'
        'dialect = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    assert "pyproject" == model()
    write(tmp_path / "project" / "llmswitch.toml", "parent")
    assert "parent" == model()
    write(inner / "llmswitch.toml", "here")
    assert "here" == model()
    write(tmp_path / "named.toml", "named")
    monkeypatch.setenv("LLMSWITCH_CONFIG", str(tmp_path / "named.toml"))
    assert "named" == model()
    monkeypatch.setenv("LLMSWITCH_MODEL", "m:variable")
    assert "variable" == model()
    monkeypatch.setenv("LLMSWITCH_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigError, match="LLMSWITCH_CONFIG"):
        model()


def test_a_found_file_runs_no_programs(tmp_path, monkeypatch):
    """A file that was found rather than named may be somebody else's: its `command` is refused, and not run."""
    (tmp_path / "llmswitch.toml").write_text(
        f'[providers.openai]\napi_key = {{ command = ["touch", "{tmp_path}/ran"] }}\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="was found, not named"):
        Client()
    assert not (tmp_path / "ran").exists()
    assert Client.from_file(tmp_path / "llmswitch.toml") is not None


def test_another_projects_broken_pyproject_is_not_ours(tmp_path, monkeypatch):
    """A pyproject.toml that does not speak of llmswitch, or is broken, is passed over."""
    (tmp_path / "pyproject.toml").write_text("broken = [")
    monkeypatch.chdir(tmp_path)
    assert "no configuration file" == discover(tmp_path).source


def test_without_configuration_the_keys_decide(monkeypatch, tmp_path):
    """With no file, the chain is made of the providers whose keys are in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZHIPUAI_API_KEY", KEY)
    assert "zhipu" == Client(http_client=answering()).chat("Hi").provider


def test_without_configuration_and_keys_the_way_out_is_said(monkeypatch, tmp_path):
    """With neither file nor key nor embedded model, the error lists what to set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        Client()
    assert "OPENAI_API_KEY" in str(caught.value)
    assert "llmswitch init" in str(caught.value)


def test_one_variable_changes_who_answers(monkeypatch):
    """The same program answers through another provider after one environment variable was edited."""
    monkeypatch.setenv("ZHIPUAI_API_KEY", KEY)
    config = {"providers": {"m": SERVER}, "default": "m:x"}
    assert "m" == Client.from_config(config, http_client=answering()).chat("Hi").provider
    monkeypatch.setenv("LLMSWITCH_MODEL", "zhipu:glm-4.6")
    assert "zhipu" == Client.from_config(config, http_client=answering()).chat("Hi").provider


def test_a_target_with_settings_of_its_own():
    """A target's own max_tokens stands in place of the caller's."""
    vendor = answering()
    config = {
        "providers": {"m": SERVER},
        "chains": {"a": {"targets": [{"target": "m:x", "max_tokens": 5}]}},
        "default": "a",
    }
    Client.from_config(config, http_client=vendor).chat("Hi", max_tokens=500)
    assert b'"max_tokens":5' in vendor.requests[0].content


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_the_mode_of_a_key_file_is_looked_at(tmp_path):
    """A key file that only its owner can read is taken without a word."""
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(stat.S_IRUSR)
    assert KEY == Secret.from_file(str(path)).reveal()


def test_a_first_user_is_told_keys_that_help(monkeypatch):
    """Each variable once, and none of a whole cloud, which would put nobody into the chain."""
    monkeypatch.setattr("llmswitch._setup.Setup._can_start", lambda *_: False)
    with pytest.raises(ConfigError) as caught:
        Client.from_config({})
    told = str(caught.value).partition("(")[2].partition(")")[0].split(", ")
    assert len(set(told)) == len(told)
    assert {"OPENAI_API_KEY", "GOOGLE_API_KEY"} <= set(told)
    assert not {"GOOGLE_OAUTH_ACCESS_TOKEN", "HF_TOKEN"} & set(told)
