"""What is built: every provider is in it, nothing else is at the top, and an installed copy works."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.once import once
from tests.providers.foreign_sdk import UV

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and the wheel that is built from it."""
    out = tmp_path_factory.getbasetemp().parent / "dist"

    def build() -> None:
        command = [sys.executable, "-m", "build", "--installer=uv", "--outdir", str(out), str(ROOT)]
        subprocess.run(command, check=True, capture_output=True)

    once(out, build)
    return out


def test_the_wheel_holds_every_provider(built):
    """All of providers/ is in the wheel as llmswitch.providers, and nothing else is at the top."""
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    providers = {path.name for path in (ROOT / "providers").iterdir() if path.suffix in (".py", ".toml")}
    assert providers <= {name.removeprefix("llmswitch/providers/") for name in names}
    assert {"llmswitch"} == {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert [] == [name for name in names if name.endswith(".pth")]
    assert "llmswitch/py.typed" in names
    assert {"llmswitch/default_errors.toml", "llmswitch/reference_rates.toml"} <= set(names)


def test_the_sdist_holds_the_sources(built):
    """The sdist has providers/ at its root, as the repository has, and the tests."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"providers/openai.toml", "llmswitch/__init__.py", "tests/conftest.py", "README.md", "LICENSE"} <= names


def test_an_installed_wheel_works(built, tmp_path):
    """In an empty environment, away from the repository, the wheel imports, finds its providers and has its command."""
    (wheel,) = built.glob("*.whl")
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [*UV, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, str(wheel)], check=True)
    code = (
        "from llmswitch._registry import provider_names, provider; print([provider(n).title for n in provider_names()])"
    )
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "OpenAI" in found.stdout
    command = tmp_path / "venv" / "bin" / "llmswitch"
    shown = subprocess.run([command, "providers"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "zhipu" in shown.stdout
    # a provider of somebody else's package is found by its entry point
    package = tmp_path / "acme"
    (package / "acme_llmswitch").mkdir(parents=True)
    (package / "acme_llmswitch" / "__init__.py").touch()
    (package / "acme_llmswitch" / "acme.toml").write_text(
        'title = "Acme"\ndialect = "openai"\nsite = "x"\n[sites.x]\nbase_url = "https://api.acme.invalid/v1"\n'
    )
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "acme-llmswitch"\nversion = "1"\n'
        '[project.entry-points."llmswitch.providers"]\nacme = "acme_llmswitch"\n'
    )
    subprocess.run([*install, str(package)], check=True)
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "Acme" in found.stdout
