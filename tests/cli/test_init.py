"""`llmswitch init`: a configuration that works at once, for the keys that are there, with no key in it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmswitch import Client, _registry
from llmswitch._cli import local
from llmswitch._config_file import Loaded
from llmswitch._provider import ProviderSpec

Run = Callable[..., Any]
KEY = "sk-very-secret-0123456789"


def askable() -> list[ProviderSpec]:
    """Built-in providers for which a key is enough, each with a variable that no other has."""
    specs = [_registry.provider(name) for name in _registry.provider_names()]
    found, seen = [], set()
    for spec in specs:
        if spec.sites and spec.default_model and not spec.retired and not spec.server:
            variables = spec.sites[spec.site].key_env
            if variables and variables[0] not in seen:
                seen.add(variables[0])
                found.append(spec)
    return found


def chain(client: Client) -> list[str]:
    """The targets that a call without `model=` asks."""
    return [target.name for target in client._setup.chain(None).targets]


def test_the_chain_holds_the_providers_with_keys(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each provider whose key is set is a target, in order, and the file works as it is."""
    specs = askable()[:2]
    assert len(specs) == 2
    for spec in specs:
        monkeypatch.setenv(spec.sites[spec.site].key_env[0], KEY)
    result = run("init")
    names = [f"{spec.name}:{spec.default_model}" for spec in specs]
    with Client.from_file("llmswitch.toml") as client:
        assert chain(client) == names
    assert f"wrote llmswitch.toml, with the chain {', '.join(names)}\n" in result.stdout
    assert result.stdout.endswith('next: llmswitch doctor\n      llmswitch chat "Say hello"\n')
    assert result.exit_code == 0


def test_no_key_is_written_or_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a variable is in neither the file nor what is said."""
    for spec in askable():
        monkeypatch.setenv(spec.sites[spec.site].key_env[0], KEY)
    result = run("init")
    assert KEY not in Path("llmswitch.toml").read_text() + result.stdout + result.stderr


def test_a_key_of_another_site_sets_the_site(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the key is for a site that is not the default, the file says so, or the key would not be found."""
    spec, site = next(
        (spec, name)
        for spec in askable()
        for name, each in spec.sites.items()
        if each.key_env and not set(each.key_env) & set(spec.sites[spec.site].key_env)
    )
    monkeypatch.setenv(spec.sites[site].key_env[0], KEY)
    run("init")
    with Client.from_file("llmswitch.toml") as client:
        (target,) = client._setup.chain(None).targets
    assert target.endpoint.site == site


def test_the_local_model_is_only_a_comment_beside_vendors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of vendors does not slide to the toy model unless the user takes the # away."""
    spec = askable()[0]
    monkeypatch.setenv(spec.sites[spec.site].key_env[0], KEY)
    result = run("init")
    text = Path("llmswitch.toml").read_text()
    assert '    # "local:smollm2",' in text
    Path("llmswitch.toml").write_text(text.replace('# "local:smollm2"', '"local:smollm2"'))
    with Client.from_file("llmswitch.toml") as client:
        assert chain(client) == [f"{spec.name}:{spec.default_model}", "local:smollm2"]
    assert "nothing to fall back on" in result.stdout


def test_without_a_key_the_chain_is_the_local_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no key the chain holds the toy, and what is said is honest about it and about what it needs."""
    monkeypatch.setattr(local, "engine", lambda: None)
    monkeypatch.setattr(local, "find_weights", lambda: None)
    result = run("init")
    with Client.from_file("llmswitch.toml") as client:
        assert chain(client) == ["local:smollm2"]
    assert "No key is set, so its chain holds local:smollm2 alone" in result.stdout
    assert "a toy" in result.stdout
    assert askable()[0].sites[askable()[0].site].key_env[0] in result.stdout
    assert result.stdout.index("pip install 'llmswitch[local]'") < result.stdout.index("llmswitch local install")
    assert "# No key was found" in Path("llmswitch.toml").read_text()


def test_the_examples_work_when_uncommented(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commented example is valid, together with what the file holds."""
    for spec in askable():
        monkeypatch.setenv(spec.sites[spec.site].key_env[-1], KEY)
    run("init")
    text = Path("llmswitch.toml").read_text()
    head, _, examples = text.partition("# Examples")
    shown = [
        line.removeprefix("# ")
        for line in examples.splitlines()
        if line.startswith(("# [", "# site", "# dia", "# base"))
    ]
    keys = [line.removeprefix("# ") for line in examples.splitlines() if line.startswith("# api_key")]
    assert len(keys) == 4
    own_server = shown.index("[providers.my-server]")
    for key in keys[:3]:
        uncommented = "\n".join([*shown[:own_server], key, *shown[own_server:], keys[3]])
        config = Loaded.from_mapping(tomllib.loads(head + uncommented)).config
        assert config.providers["my-server"].dialect == _registry.provider("local").dialect
        assert any(own.site for own in config.providers.values())


def test_one_account_is_one_target(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two providers that read the same variable are one account, which is no fallback."""
    spec = askable()[0]
    twin = spec.model_copy(update={"name": f"{spec.name}-twin"})
    monkeypatch.setitem(_registry._read, twin.name, twin)
    names = [*_registry.provider_names(), twin.name]
    monkeypatch.setattr("llmswitch._cli.init.provider_names", lambda: names)
    monkeypatch.setenv(spec.sites[spec.site].key_env[0], KEY)
    run("init")
    loaded = Loaded.from_file(Path("llmswitch.toml"))
    assert loaded.config.chains["main"].targets == (f"{spec.name}:{spec.default_model}",)


def test_a_file_is_not_replaced_unless_forced(run: Run, tmp_path: Path) -> None:
    """An existing file stays as it is; --force replaces it."""
    path = tmp_path / "mine.toml"
    path.write_text("default = 'x'")
    refused = run("init", "--path", str(path))
    assert refused.exit_code == 1
    assert f"error: {path} exists; --force replaces it" in refused.stderr
    assert path.read_text() == "default = 'x'"
    forced = run("init", "--path", str(path), "--force")
    assert forced.exit_code == 0
    assert "[chains.main]" in path.read_text()
    assert f"llmswitch chat --config {path} " in forced.stdout


def test_a_file_that_is_not_found_by_itself_is_named_in_the_advice(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where LLMSWITCH_CONFIG names another file, the next step names the new one."""
    monkeypatch.setenv("LLMSWITCH_CONFIG", str(tmp_path / "other.toml"))
    assert "llmswitch chat --config llmswitch.toml " in run("init").stdout


def test_pyproject_is_never_replaced(run: Run, tmp_path: Path) -> None:
    """--force does not overwrite a pyproject.toml, which holds more than our table."""
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]")
    assert run("init", "--path", str(path), "--force").exit_code == 2
    assert path.read_text() == "[project]"


def test_a_folder_that_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    """A file that can't be written is an error with its reason."""
    result = run("init", "--path", str(tmp_path / "no" / "llmswitch.toml"))
    assert result.exit_code == 1
    assert "can't be written: No such file or directory" in result.stderr
