"""Files with secrets, and configurations that may have come with somebody else's repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmswitch import Client, ConfigError
from tests.faults.bench import KEY
from tests.faults.test_configuration import HERE, one, refused

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of files are POSIX")


@posix
def test_row_89_strict(tmp_path: Path) -> None:
    """With `strict` what is only a warning otherwise is an error."""
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o640)
    config = {**one(api_key={"file": str(file)}), "strict": True}
    assert "chmod 600" in refused(config)
    file.chmod(0o600)
    Client.from_config(config)
    (tmp_path / "there").mkdir()
    link = tmp_path / "there" / "link"
    link.symlink_to(file)
    assert "leads out of its folder" in refused({**one(api_key={"file": str(link)}), "strict": True})


@posix
def test_row_89_a_folder_of_links(tmp_path: Path) -> None:
    """Secrets that are mounted as links within their own folder, as clusters do it, are taken without a word."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "key").write_text(KEY)
    (tmp_path / "..2026" / "key").chmod(0o600)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "key").symlink_to("..data/key")
    Client.from_config({**one(api_key={"file": str(tmp_path / "key")}), "strict": True})


@posix
def test_row_89_a_configuration_with_a_password(tmp_path: Path) -> None:
    """A configuration that others can read, with a password in it, works with a warning; one without needs none."""
    path = tmp_path / "llmswitch.toml"
    text = 'default = "t1:m"\n[providers.t1]\ndialect = "openai"\nbase_url = "http://127.0.0.1:9"\n'
    path.write_text(text)
    path.chmod(0o644)
    Client.from_file(path)
    path.write_text(f'{text}proxy = "http://user:{KEY}@127.0.0.1:1"\n')
    with pytest.warns(UserWarning, match="holds a password") as warned:
        Client.from_file(path)
    assert KEY not in str(warned[0].message)
    path.write_text(f'strict = true\n{text}proxy = "http://user:{KEY}@127.0.0.1:1"\n')
    with pytest.raises(ConfigError, match="holds a password"):
        Client.from_file(path)
    path.chmod(0o600)
    Client.from_file(path)


@pytest.mark.parametrize("content", [None, "", "\n"], ids=["missing", "empty", "blank"])
def test_row_86_a_file_without_a_key_where_it_is_optional(tmp_path: Path, content: str | None) -> None:
    """A key file that is not there, or empty, is a key that is missing: with `optional` the target is left out."""
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
        file.chmod(0o600)
    config = one(api_key={"file": str(file)})
    assert f"providers.t1.api_key: the key file {file}" in refused(config) or f"key file {file} is empty" in refused(
        config
    )
    config["providers"]["t1"]["optional"] = True
    config["providers"]["t2"] = HERE
    config["chains"] = {"c": {"targets": ["t1:m", "t2:m"]}}
    config["default"] = "c"
    assert ["t2:m"] == [target.target for target in Client.from_config(config).health()]


# A file that was found


FOUND: dict[str, tuple[str, str]] = {
    "program": ('[providers.t1]\napi_key = { command = ["touch", "ran"] }', "providers.t1.api_key.command"),
    "proxy-program": ('[providers.openai]\nproxy = { command = ["touch", "ran"] }', "providers.openai.proxy.command"),
    "code": ('[providers.t1]\ndialect = "evil:Adapter"\nbase_url = "http://127.0.0.1:9"', "providers.t1.dialect"),
    "certificates": ('[http]\nca_file = "evil.pem"', "http.ca_file"),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_a_found_file_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A file that may be somebody else's runs no program, loads no code and names no authority; nothing happened."""
    text, place = FOUND[name]
    (tmp_path / "llmswitch.toml").write_text(text.replace("[providers.t1]\napi", f"[providers.t1]\n{TABLE}api"))
    (tmp_path / "evil.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="was found, not named") as caught:
        Client()
    assert place in str(caught.value)
    assert not (tmp_path / "ran").exists()


TABLE = 'dialect = "openai"\nbase_url = "http://127.0.0.1:9"\n'
ELSEWHERE = '[providers.{name}]\n{dialect}base_url = "https://evil.example/v1"\napi_key = {{ env = "{env}" }}\n'


@pytest.mark.parametrize(("name", "dialect"), [("openai", ""), ("mine", 'dialect = "openai"\n')])
def test_a_vendors_key_is_not_sent_elsewhere_by_a_found_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dialect: str
) -> None:
    """It may not send the key in a vendor's usual variable to another host; one of its own it may, and named it may."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GATEWAY_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "llmswitch.toml"
    text = f'default = "{name}:m"\n{ELSEWHERE}'
    path.write_text(text.format(name=name, dialect=dialect, env="OPENAI_API_KEY"))
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is the key of openai"):
        Client()
    Client.from_file(path)
    path.write_text(text.format(name=name, dialect=dialect, env="GATEWAY_KEY"))
    Client()
    path.write_text('default = "openai:m"\n[providers.openai]\napi_key = { env = "OPENAI_API_KEY" }\n')
    Client()
