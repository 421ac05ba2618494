"""Keys, variables, configurations and addresses that are wrong: said when the client is built, and never shown."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from llmswitch import Client, ConfigError
from llmswitch._config_file import Loaded
from llmswitch.testing.fault_server import FaultServer
from tests.faults.bench import HEALTHY, KEY, PROMPT, answering
from tests.rows import rows

HERE = {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"}


def refused(config: dict[str, Any]) -> str:
    """What is said of this configuration, which holds no key, and hangs on nothing that does."""
    with pytest.raises(ConfigError) as caught:
        Client.from_config(config)
    said = f"{caught.value} {caught.value!r} {caught.value.args}"
    assert KEY not in said
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    return str(caught.value)


def one(**settings: Any) -> dict[str, Any]:
    """A configuration with one provider, t1."""
    return {"default": "t1:m", "providers": {"t1": {**HERE, **settings}}}


@pytest.mark.parametrize(
    "value",
    [f"{KEY}\n{KEY}", f"{KEY} x", f"{KEY}é", f"{KEY}\x00".replace("\x00", "\x7f"), "", " ", f"Bearer {KEY}", KEY * 200],
    ids=["newline", "space", "non-ascii", "control", "empty", "blank", "bearer", "long"],
)
def test_row_85_a_key_that_can_be_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    """A key that can't stand in a header is refused, from wherever it comes, without being shown."""
    monkeypatch.setenv("T1_KEY", value)
    assert "T1_KEY" in refused(one(api_key={"env": "T1_KEY"}))
    file = tmp_path / "key"
    file.write_text(value)
    file.chmod(0o600)
    assert str(file) in refused(one(api_key={"file": str(file)}))


def test_row_85_white_space_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around a key is left out, with a warning that does not show it; the key works."""
    monkeypatch.setenv("T1_KEY", f"  {KEY}\r\n")
    with FaultServer(answering()) as server:
        with pytest.warns(UserWarning, match="T1_KEY") as warned:
            client = Client.from_config(one(api_key={"env": "T1_KEY"}, base_url=server.url))
        with client:
            assert HEALTHY == client.chat(PROMPT).text
        assert f"Bearer {KEY}" == server.requests[0].headers["authorization"]
    assert KEY not in "".join(str(warning.message) for warning in warned)


@pytest.mark.parametrize("value", [None, "", "  "], ids=["missing", "empty", "blank"])
def test_row_86_a_variable_that_is_not_set(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """A variable without a key is said at load by its name, and by who needs it."""
    monkeypatch.delenv("T1_KEY")
    if value is not None:
        monkeypatch.setenv("T1_KEY", value)
    said = refused(one(api_key={"env": "T1_KEY"}))
    assert "T1_KEY" in said
    assert "providers.t1" in said


@pytest.mark.parametrize("value", [None, "", "  "], ids=["missing", "empty", "blank"])
def test_row_86_where_it_is_optional(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """With `optional` the target is left out of the chain instead."""
    monkeypatch.delenv("T1_KEY")
    if value is not None:
        monkeypatch.setenv("T1_KEY", value)
    with FaultServer(answering()) as server:
        config = {
            "default": "c",
            "chains": {"c": {"targets": ["t1:m", "t2:m"]}},
            "providers": {
                "t1": {**HERE, "api_key": {"env": "T1_KEY"}, "optional": True},
                "t2": {"dialect": "openai", "base_url": server.url},
            },
        }
        with Client.from_config(config) as client:
            assert ["t2:m"] == [attempt.target for attempt in client.chat(PROMPT).attempts]


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "api-kye": ({"providers": {"t1": {**HERE, "api_kye": KEY}}}, "providers.t1.api_kye", "'api_key'"),
    "key-in-clear": ({"providers": {"t1": {**HERE, "api_key": KEY}}}, "providers.t1.api_key", "where the key is"),
    "key-in-a-list": ({"providers": {"t1": {**HERE, "api_key": [KEY]}}}, "providers.t1.api_key", ""),
    "key-inside": ({"providers": {"t1": {**HERE, "api_key": {"value": KEY}}}}, "providers.t1.api_key", ""),
    "key-as-env": ({"providers": {"t1": {**HERE, "api_key": {"env": 5}}}}, "providers.t1.api_key", ""),
    "token": ({"providers": {"t1": {**HERE, "token": KEY}}}, "providers.t1.token", ""),
    "headers": ({"providers": {"t1": {**HERE, "headers": {"x": [KEY]}}}}, "providers.t1.headers", ""),
    "header-lines": ({"providers": {"t1": {**HERE, "headers": {"x": f"{KEY}\r\ny: z"}}}}, "providers.t1.headers", ""),
    "base-url": ({"providers": {"t1": {"dialect": "openai", "base_url": {"u": KEY}}}}, "providers.t1.base_url", ""),
    "proxy": ({"providers": {"t1": {**HERE, "proxy": [f"http://u:{KEY}@p"]}}}, "providers.t1.proxy", ""),
    "chain": ({"chain": {"a": KEY}}, "chain", "'chains'"),
    "option": (one(options={"max_tokens_field": [KEY]}), "providers.t1.options", ""),
    "capability": (one(capabilities={"images": KEY}), "providers.t1.capabilities", ""),
    "timeout": ({"chains": {"a": {"targets": ["t1:m"], "timeout": KEY}}}, "chains.a.timeout", ""),
    "top": ({KEY: 1}, "", ""),
}


@rows("name", [name for name in MISTAKES if name != "top"])
def test_row_87_what_is_mistyped(name: str) -> None:
    """A mistake is told by its path and the nearest right name; what stood there is not."""
    config, place, hint = MISTAKES[name]
    said = refused(config)
    assert place in said
    assert hint in said


def test_row_87_in_a_file(tmp_path: Path) -> None:
    """So is one in a file, and a file that is no TOML, also where the broken line holds the key."""
    path = tmp_path / "llmswitch.toml"
    for text in (
        f'[providers.t1]\napi_kye = "{KEY}"\n',
        f'[providers.t1]\napi_key = "{KEY}\n',
        f"{KEY}\n",
        f"{KEY} = = 1",
    ):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            Client.from_file(path)
        assert str(path) in str(caught.value)
        assert KEY not in f"{caught.value} {caught.value!r}" or text.startswith(KEY)


@rows(
    ("chains", "said"),
    [
        ({"a": ["b"], "b": ["a"]}, "a chain"),
        ({"a": ["a"]}, "a chain"),
        ({"a": ["t1:m", "t1:m"]}, "twice"),
        ({"a": ["t1:m", {"target": "t1:m", "max_tokens": 5}]}, "twice"),
        ({"a": []}, "chains.a.targets"),
    ],
    ids=["cycle", "itself", "twice", "twice-with-settings", "empty"],
)
def test_row_88_a_chain_that_can_be_none(chains: dict[str, list[Any]], said: str) -> None:
    """Chains that lead to themselves, to nowhere, or to one target twice are refused, with their name."""
    config = {
        "default": "a",
        "providers": {"t1": HERE},
        "chains": {name: {"targets": targets} for name, targets in chains.items()},
    }
    found = refused(config)
    assert said in found
    assert "chains.a" in found


def test_row_88_a_cycle_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unused chain is checked too: the mistake is not left for the day on which it is needed."""
    config = {
        "default": "a",
        "providers": {"t1": HERE},
        "chains": {"a": {"targets": ["t1:m"]}, "b": {"targets": ["t1:m", "t1:m"]}},
    }
    assert "chains.b" in refused(config)


posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of files are POSIX")


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_row_89_a_key_file_that_others_can_read(tmp_path: Path, mode: int) -> None:
    """A key file that the group or everybody can read works, with a warning."""
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.warns(UserWarning, match="chmod 600") as warned:
        Client.from_config(one(api_key={"file": str(file)}))
    assert KEY not in "".join(str(warning.message) for warning in warned)


@posix
def test_row_89_a_key_file_of_ones_own(tmp_path: Path) -> None:
    """The other half of the row: mode 600 is right, and a link within its own folder too."""
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)
    Client.from_config(one(api_key={"file": str(file)}))
    link = tmp_path / "link"
    link.symlink_to(file)
    Client.from_config(one(api_key={"file": str(link)}))


@posix
def test_row_89_a_link_that_leads_out(tmp_path: Path) -> None:
    """A key file that is a link to somewhere else works, with a warning."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    file = tmp_path / "there" / "key"
    file.write_text(KEY)
    file.chmod(0o600)
    link = tmp_path / "here" / "key"
    link.symlink_to(file)
    with pytest.warns(UserWarning, match="link"):
        Client.from_config(one(api_key={"file": str(link)}))


@rows(
    "url",
    [
        "http://api.example.com/v1",
        "https://user@api.example.com/v1",
        f"https://user:{KEY}@api.example.com/v1",
        "https://api.example.com/v1#.vendor.com",
        "https://api.example.com#.vendor.com/v1",
        f"https://api.example.com/v1?key={KEY}",
        "https://api.example.com\\@evil.example/v1",
        "https://api.example.com%2f@evil.example/v1",
        "https:///v1",
        "https://api.example.com:port/v1",
        "https://api example.com/v1",
        "https://api.example.com\r\nx: y/v1",
        "//api.example.com/v1",
        "api.example.com/v1",
        "file:///etc/passwd",
        "",
    ],
)
def test_row_90_an_address_that_hides_where_it_leads(url: str) -> None:
    """An address in the clear, with user info, a fragment, a query or tricks is refused without `allow_insecure`."""
    refused(one(base_url=url))


METADATA = [
    "169.254.169.254",
    "169.254.169.254.",
    "169.254.170.2",
    "169.254.170.23",
    "168.63.129.16",
    "100.100.100.200",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "metadata.google.internal",
    "metadata.google.internal.",
    "METADATA.google.internal",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "0xa9.254.169.254",
]


@rows("insecure", [False, True], ids=["", "allow_insecure"])
@rows("host", METADATA)
def test_row_90_a_metadata_service(host: str, insecure: bool) -> None:
    """A cloud's metadata service is never asked, however its address is written, and whatever is allowed."""
    for scheme in ("http", "https"):
        refused(one(base_url=f"{scheme}://{host}/v1", allow_insecure=insecure))


def test_row_90_what_is_allowed() -> None:
    """The other half of the row: this machine, private networks, and with `allow_insecure` the rest."""
    for url in (
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "http://10.0.0.5",
        "http://vllm:8000",
        "https://a.example",
    ):
        Client.from_config(one(base_url=url))
    Client.from_config(one(base_url="http://api.example.com", allow_insecure=True))


@pytest.mark.parametrize("content", [None, "", "this is no certificate"], ids=["missing", "empty", "nonsense"])
def test_a_certificate_file_that_can_be_none(tmp_path: Path, content: str | None) -> None:
    """Beyond the rows: a `ca_file` that can't be read is said when the client is built, not by every call."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    config = one(base_url="https://127.0.0.1:9")
    assert "ca_file" in refused({**config, "http": {"ca_file": str(path)}})


# What shows where something went wrong


def frames(error: BaseException) -> str:
    """The locals of llmswitch's own frames, as Sentry and rich show them."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "\n".join(str(frame.locals) for frame in told.stack if f"llmswitch{os.sep}" in frame.filename)


WRONG = [f"{KEY} x", f"Bearer {KEY}", f"{KEY}é", f"{KEY}\n{KEY}"]


@pytest.mark.parametrize(
    ("where", "value"), [(where, value) for where in ("env", "file", "command") for value in WRONG][:-1]
)
def test_rows_85_and_87_the_frames_show_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, where: str
) -> None:
    """A traceback with local variables shows nothing of a key that is refused, nor does what the error hangs on."""
    monkeypatch.setenv("T1_KEY", value)
    file = tmp_path / "key"
    file.write_text(value)
    file.chmod(0o600)
    reference = {"env": "T1_KEY", "file": str(file), "command": ["cat", str(file)]}[where]
    with pytest.raises(ConfigError) as caught:
        Client.from_config(one(api_key={where: reference}))
    assert KEY not in frames(caught.value)
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_row_87_the_frames_of_a_file_show_no_key(tmp_path: Path) -> None:
    """Nor of a key in clear under a mistyped name in a file."""
    path = tmp_path / "llmswitch.toml"
    for text in (f'[providers.t1]\napi_kye = "{KEY}"\n', f'[providers.t1]\napi_key = "{KEY}"\n'):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            Client.from_file(path)
        assert KEY not in frames(caught.value)
        assert (None, None) == (caught.value.__cause__, caught.value.__context__)


@rows("name", ["sk-proj-CANARY-0123456789abcdef", "canary0123456789abcdef01", f"{KEY}", "A" * 65, ""])
def test_row_87_a_key_where_its_variable_should_stand(name: str) -> None:
    """`env` is the name of a variable: what can be none, and may be the key itself, is not shown."""
    said = refused(one(api_key={"env": name}))
    assert "providers.t1.api_key" in said
    assert "not the key" in said
    assert not name or name not in said


def test_secrets_in_a_configuration_are_not_shown() -> None:
    """Beyond the rows: a configuration can be printed, whatever stands in its headers and its proxies."""
    loaded = Loaded.from_mapping(
        one(headers={"x-gateway-key": KEY}, proxy=f"http://user:{KEY}@127.0.0.1:1")
        | {"store": {"url": f"redis://:{KEY}@h"}}
    )
    assert KEY not in f"{loaded} {loaded!r} {loaded.config} {loaded.config.providers}"


# Names and chains


def test_row_88_a_circle_is_drawn() -> None:
    """Chains that lead back to themselves are shown with the way that they go."""
    config = {
        "providers": {"t1": HERE},
        "chains": {name: {"targets": [following]} for name, following in ("ab", "bc", "ca")},
    }
    assert "chains.a: b is a chain" in refused(config)
    assert "a -> b -> c -> a goes round in a circle" in refused(config)


def test_row_88_twice_by_its_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider's default model and the same model by name are one target."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    from llmswitch._registry import provider

    model = provider("openai").default_model
    chains = {"a": {"targets": ["openai", f"openai:{model}"]}}
    assert f"openai:{model} is named twice" in refused({"chains": chains})


@rows("host", ["127.1", "0", "0x7f000001", "017700000001", "1.2.3", "0x7f.0.0.1"])
def test_row_90_an_odd_spelling(host: str) -> None:
    """An address that is written as nobody would write it is refused whatever it is."""
    assert "four decimal numbers" in refused(one(base_url=f"http://{host}:8000", allow_insecure=True))


@rows("host", ["[::1", "[zz::1]", "a\\b", "exa\tmple.com"])
def test_row_90_what_is_no_address(host: str) -> None:
    """What can't be taken apart is refused, and raises nothing else."""
    refused(one(base_url=f"https://{host}/v1"))
