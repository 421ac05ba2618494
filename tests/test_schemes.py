"""Ways to prove who asks: which of a provider's is used, and what is said where it can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmswitch import Client, ConfigError
from llmswitch._config_file import Loaded
from llmswitch._endpoint import Endpoint
from llmswitch._errors import KeyMissing
from llmswitch._json import dumps
from llmswitch._provider import ProviderSpec
from llmswitch._setup import Setup
from llmswitch.testing._vendor import FakeVendor, respond
from tests.rows import rows

IAM = ("QIANFAN_ACCESS_KEY", "QIANFAN_SECRET_KEY")
APPLICATION = ("QIANFAN_AK", "QIANFAN_SK")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*IAM, *APPLICATION):
        monkeypatch.delenv(name, raising=False)


def endpoint(target: str, **own: Any) -> Endpoint:
    name = target.partition(":")[0]
    return Setup(Loaded.from_mapping({"providers": {name: own}}), target).chain(None).targets[0].endpoint


def signed_by(target: str, **own: Any) -> str:
    return type(endpoint(target, **own).credential).__name__


def keys(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setenv(name, f"secret-of-{name}")


def test_the_usual_scheme_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both are there, the provider's usual one; a configuration chooses another by its name."""
    keys(monkeypatch, *IAM, *APPLICATION)
    assert "AccessToken" == signed_by("wenxin:m")
    assert "BCEAuth" == signed_by("wenxin:m", scheme="bce")


def test_the_scheme_whose_secrets_are_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the secrets of another scheme alone are in the environment, or are named, that one."""
    keys(monkeypatch, *IAM)
    assert "BCEAuth" == signed_by("wenxin:m")
    named = {"access_key": {"env": IAM[0]}, "secret_key": {"env": IAM[1]}}
    keys(monkeypatch, *APPLICATION)
    assert "BCEAuth" == signed_by("wenxin:m", credentials=named)
    monkeypatch.delenv(APPLICATION[0])
    with pytest.raises(KeyMissing, match="no client_id: set the environment variable QIANFAN_AK"):
        signed_by("wenxin:m", scheme="access-token")


def test_a_scheme_of_the_plain_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the site, from its usual variable or where the configuration says, is what is signed with."""
    monkeypatch.setenv("ZAI_API_KEY", "an-id.a-secret-0123")
    monkeypatch.setenv("OTHER", "another-id.a-secret-4567")
    plain = endpoint("zhipu:glm-4.6", site="intl")
    assert plain.credential is None
    assert plain.secret is not None
    for own in ({}, {"api_key": {"env": "OTHER"}}):
        made = endpoint("zhipu:glm-4.6", site="intl", scheme="jwt", **own)
        assert "SignedKey" == type(made.credential).__name__
        assert made.secret is None
    vendor = FakeVendor(
        lambda _: respond(200, "application/json", [dumps({"choices": [{"message": {"content": "ok"}}]})])
    )
    config = {"providers": {"zhipu": {"site": "intl", "scheme": "jwt"}}, "default": "zhipu:glm-4.6"}
    Client.from_config(config, http_client=vendor).chat("Hi")
    sent = vendor.requests[0].headers["authorization"]
    assert sent.startswith("Bearer eyJ")
    assert 2 == sent.count(".")
    assert "a-secret-0123" not in " ".join(vendor.requests[0].headers.values())
    with pytest.raises(KeyMissing, match="no key: set the environment variable ZHIPUAI_API_KEY"):
        endpoint("zhipu:glm-4.6", site="cn", scheme="jwt")


def test_a_key_is_not_taken_along_to_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base_url elsewhere needs secrets of its own, whatever the scheme."""
    keys(monkeypatch, *IAM, *APPLICATION)
    monkeypatch.setenv("ZHIPUAI_API_KEY", "an-id.a-secret-0123")
    for target, own in (("wenxin:m", {}), ("wenxin:m", {"scheme": "bce"}), ("zhipu:m", {"scheme": "jwt"})):
        with pytest.raises(KeyMissing, match="not sent to another base_url"):
            endpoint(target, base_url="https://elsewhere.example.com", **own)


@rows(
    ("own", "said"),
    [
        ({"scheme": "bec"}, r"providers\.wenxin\.scheme: there is no scheme 'bec' \(did you mean 'bce'\?\)"),
        ({"scheme": "jwt"}, r"known: access-token, bce"),
        ({"credentials": {"secret": {"env": "X"}}}, r"there is no part 'secret'"),
        ({"scheme": "bce", "auth": {"header": "x-key"}}, r"providers\.wenxin: give auth or scheme, not both"),
    ],
)
def test_what_there_is_not_is_named(own: dict[str, Any], said: str) -> None:
    """A scheme or a part that the provider has not is an error with the nearest one."""
    with pytest.raises(ConfigError, match=said):
        endpoint("wenxin:m", **own)


def test_credentials_where_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not ignored: a provider with a plain key says where that goes."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    with pytest.raises(ConfigError, match=r"providers\.openai\.credentials: nothing is signed with them here"):
        endpoint("openai:gpt-4.1", credentials={"secret_key": {"env": "OPENAI_API_KEY"}})


def test_a_found_file_can_not_take_a_schemes_secret_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a vendor's schemes are that vendor's, as those of its keys are."""
    keys(monkeypatch, *APPLICATION)
    (tmp_path / "llmswitch.toml").write_text(
        'default = "a:m"\n[providers.a]\ndialect = "wenxin"\nbase_url = "https://elsewhere.example.com"\n'
        'credentials = { client_id = { env = "QIANFAN_AK" }, client_secret = { env = "QIANFAN_SK" } }\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="QIANFAN_AK is the key of wenxin"):
        Client()


def test_a_found_file_may_choose_a_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names no code: the provider's own file does."""
    keys(monkeypatch, *IAM)
    (tmp_path / "llmswitch.toml").write_text('default = "wenxin:m"\n[providers.wenxin]\nscheme = "bce"\n')
    monkeypatch.chdir(tmp_path)
    assert "BCEAuth" == type(Client()._setup.chain(None).targets[0].endpoint.credential).__name__


def test_without_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has all the secrets of one scheme in the environment is asked; a half of them is nothing."""
    monkeypatch.setenv("ZHIPUAI_API_KEY", "an-id.a-secret-0123")
    for names, asked in ((IAM[:1], False), (APPLICATION[1:], False), (IAM, True), (APPLICATION, True)):
        with pytest.MonkeyPatch.context() as patch:
            keys(patch, *names)
            targets = Setup(Loaded.from_mapping({})).chain(None).targets
        assert asked == ("wenxin:ernie-3.5-8k" in [target.name for target in targets])


def test_a_providers_file_names_a_scheme_that_it_has() -> None:
    """A usual scheme that is none of the file's is an error in it."""
    with pytest.raises(ConfigError, match="scheme names none of the schemes"):
        ProviderSpec.read('dialect = "openai"\nscheme = "jwt"\n', "a")
