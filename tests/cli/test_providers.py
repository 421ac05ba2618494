"""`llmswitch providers`: who can be asked, where the data goes, and whether a key is there; never the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmswitch import _registry
from llmswitch._provider import ProviderSpec

Run = Callable[..., Any]


@pytest.fixture
def spec() -> ProviderSpec:
    """A built-in provider with several sites, each with keys of its own."""
    specs = [_registry.provider(name) for name in _registry.provider_names()]
    return next(spec for spec in specs if len({site.key_env for site in spec.sites.values()}) > 1)


def listed(run: Run, name: str) -> dict[str, Any]:
    """The entry of that name in the JSON list."""
    result = run("providers", "--json")
    assert result.exit_code == 0
    found: dict[str, Any] = next(row for row in json.loads(result.stdout) if row["name"] == name)
    return found


def test_every_built_in_provider_is_listed(run: Run) -> None:
    """The list is what the registry knows, with title, dialect, default model and date."""
    rows = {row["name"]: row for row in json.loads(run("providers", "--json").stdout)}
    for name in _registry.provider_names():
        spec, row = _registry.provider(name), rows[name]
        assert (spec.title, spec.dialect, spec.default_model) == (row["title"], row["dialect"], row["default_model"])
        assert str(spec.checked) == str(row["checked"])
        assert not row["configured"]


def test_the_table_names_every_provider(run: Run, spec: ProviderSpec) -> None:
    """The table says the same, and cuts nothing where it goes into a pipe."""
    result = run("providers")
    for name in _registry.provider_names():
        assert name in result.stdout
    for site, each in spec.sites.items():
        assert f"{site} ({each.jurisdiction})" in result.stdout
    assert f"{spec.sites[spec.site].key_env[0]}: not set" in result.stdout
    assert result.stderr == ""


def test_the_default_site_comes_first(run: Run, spec: ProviderSpec) -> None:
    """The site that is used is the first, with its jurisdiction."""
    first = listed(run, spec.name)["sites"][0]
    assert first["name"] == spec.site
    assert first["jurisdiction"] == spec.sites[spec.site].jurisdiction


def test_a_configured_site_comes_first(run: Run, spec: ProviderSpec, tmp_path: Path) -> None:
    """The configuration's site is the one that is used."""
    other = next(name for name in spec.sites if name != spec.site)
    (tmp_path / "llmswitch.toml").write_text(f'[providers.{spec.name}]\nsite = "{other}"\n')
    row = listed(run, spec.name)
    assert row["sites"][0]["name"] == other
    assert row["configured"]


def test_a_key_is_told_and_never_shown(run: Run, spec: ProviderSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a variable is set is all that is said of it; one of blanks is not."""
    first, second = list(dict.fromkeys(variable for site in spec.sites.values() for variable in site.key_env))[:2]
    monkeypatch.setenv(first, "sk-very-secret-0123456789")
    monkeypatch.setenv(second, "  ")
    keys = {key["source"]: key["set"] for key in listed(run, spec.name)["keys"]}
    assert (keys[first], keys[second]) == (True, False)
    for output in (run("providers"), run("providers", "--json")):
        assert "very-secret" not in output.stdout + output.stderr
    assert f"{first}: set" in run("providers").stdout


def test_providers_of_the_configuration_are_listed(run: Run, config: Path, vendor: Any) -> None:
    """A server of one's own is listed with its address and where its key is."""
    text = config.read_text().replace("[providers.fake]", '[providers.fake]\napi_key = { env = "FAKE_KEY" }')
    config.write_text(text)
    row = listed(run, "fake")
    assert row["sites"] == [{"name": "own", "jurisdiction": "unknown", "base_url": vendor.base_url, "note": ""}]
    assert row["keys"] == [{"source": "FAKE_KEY", "set": False, "sites": []}]
    assert row["configured"]
    assert listed(run, "dead")["key"] == "optional"
    assert "in the configuration" in run("providers").stdout


def test_a_moved_provider_has_no_key_of_the_vendor(run: Run, spec: ProviderSpec, tmp_path: Path) -> None:
    """Where base_url leads away from the vendor, its variables are not looked at, and the list does not claim it."""
    path = tmp_path / "llmswitch.toml"
    path.write_text(f'[providers.{spec.name}]\nbase_url = "https://proxy.example/v1"\n')
    row = listed(run, spec.name)
    assert (row["sites"][0]["base_url"], row["keys"]) == ("https://proxy.example/v1", [])
    path.write_text(f'[providers.{spec.name}]\nbase_url = "{spec.sites[spec.site].base_url}/other"\n')
    assert listed(run, spec.name)["keys"] != []


def test_a_key_file_is_named_and_a_command_is_not_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a key is in a file or comes from a program, neither is touched."""
    (tmp_path / "llmswitch.toml").write_text(
        """
        [providers.one]
        dialect = "openai"
        base_url = "http://127.0.0.1:9/v1"
        api_key = { file = "/run/secrets/one" }
        [providers.two]
        dialect = "openai"
        base_url = "http://127.0.0.1:9/v1"
        api_key = { command = ["no-such-program", "hunter2"] }
        """
    )
    monkeypatch.setenv("LLMSWITCH_CONFIG", str(tmp_path / "llmswitch.toml"))
    assert listed(run, "one")["keys"][0] == {"source": "file /run/secrets/one", "set": None, "sites": []}
    assert listed(run, "two")["keys"][0] == {"source": "a command", "set": None, "sites": []}


def test_a_name_that_leads_nowhere_does_not_hide_the_list(run: Run, spec: ProviderSpec, tmp_path: Path) -> None:
    """An unknown name in the configuration is a warning: this list is where the right one is looked up."""
    (tmp_path / "llmswitch.toml").write_text(f'[providers.{spec.name}x]\nsite = "{spec.site}"\n')
    result = run("providers")
    assert f"no provider is named '{spec.name}x' (did you mean '{spec.name}'?)" in result.stderr
    assert spec.title in result.stdout
    assert result.exit_code == 0


def test_an_address_with_a_password_is_not_shown(run: Run, tmp_path: Path) -> None:
    """A base_url that holds a password is a configuration error, and stays unsaid."""
    (tmp_path / "llmswitch.toml").write_text(
        '[providers.one]\ndialect = "openai"\nbase_url = "https://me:hunter2@example.com/v1"\n'
    )
    result = run("providers")
    assert result.exit_code == 2
    assert "hunter2" not in result.stdout + result.stderr
