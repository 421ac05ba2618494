"""The walk from one vendor to a chain: its programs are the examples, its blocks run, and both languages have them."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

import llmswitch
from llmswitch import StreamInterrupted
from llmswitch._config_file import Loaded
from llmswitch._setup import Setup
from llmswitch.testing import FakeVendor
from tests.pages import blocks as pages

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "leaving_openai"
PAGE = (ROOT / "docs" / "leaving-openai.md").read_text("utf-8")
KEYS = ("ZHIPUAI_API_KEY", "QIANFAN_API_KEY", "TENCENT_TOKENHUB_API_KEY", "DASHSCOPE_API_KEY")
HOSTS = {
    "open.bigmodel.cn": "zhipu",
    "qianfan.baidubce.com": "qianfan",
    "tokenhub.tencentmaas.com": "tencent",
    "dashscope.aliyuncs.com": "dashscope",
    "api.openai.com": "openai",
}


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in that language."""
    return [block.text for block in pages.blocks("docs/leaving-openai.md", language)]


def shop(request: httpx.Request) -> httpx.Response:
    """A vendor of the dialect: asks for the order first, then says what it was told, and who it is."""
    asked = json.loads(request.content)
    last = asked["messages"][-1]
    if last["role"] != "tool":
        call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": "1042"}'}}
        choice = {"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}
        events = [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": None}]
        events += [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]
    else:
        said = f"{HOSTS[request.url.host]} says: {last['content']}"
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        events = [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None} for word in said.split()]
        events += [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    head = {"id": "1", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        return httpx.Response(200, json={**head, "object": "chat.completion", "choices": [choice]})
    chunks = [json.dumps({**head, "object": "chat.completion.chunk", "choices": [event]}) for event in events]
    body = "".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"])
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=body)


@pytest.fixture
def vendors(monkeypatch) -> FakeVendor:
    """All vendors at once: every client talks to the shop, from the example's folder, with a key for each."""
    vendors = FakeVendor(shop)
    real = llmswitch.Client
    monkeypatch.setattr(llmswitch, "Client", lambda *given: real(*given, http_client=vendors))
    monkeypatch.chdir(EXAMPLE)
    for name in KEYS:
        monkeypatch.setenv(name, "sk-0123456789")
    return vendors


def test_the_programs_are_the_examples():
    """The blocks of the page are the files in examples/leaving_openai, each from its first import on."""
    before, after = ((EXAMPLE / name).read_text("utf-8").partition('"""\n\n')[2] for name in ("before.py", "after.py"))
    assert [before, after] == blocks("python")
    assert (EXAMPLE / "llmswitch.toml").read_text("utf-8") == blocks("toml")[0]


def test_the_grant_of_the_page_goes_into_its_configuration():
    """The two blocks of configuration on the page are one file."""
    config, grants = blocks("toml")
    assert 150_000_000 == Loaded.from_mapping(tomllib.loads(config + grants)).config.providers["zhipu"].grants[0].tokens


def test_the_program_asks_the_first_of_the_chain(vendors, capsys):
    """Without an outage the first target is asked both times: for the tool call, and for the answer."""
    runpy.run_path(str(EXAMPLE / "after.py"))
    assert "zhipu says: two books, on their way, expected on Friday \n" == capsys.readouterr().out
    assert ["open.bigmodel.cn"] * 2 == [request.url.host for request in vendors.requests]


DRILLS = re.findall(r'^LLMSWITCH_DRILL="(.*?)" python after.py$', PAGE, re.MULTILINE)


@pytest.mark.parametrize(("number", "who"), [(0, "qianfan"), (1, "dashscope")])
def test_the_rehearsals_of_the_page_end_well(vendors, monkeypatch, capsys, number, who):
    """Each drill of the page is answered by the first vendor that is not drilled; the drilled ones get no packet."""
    drill = DRILLS[number]
    monkeypatch.setenv("LLMSWITCH_DRILL", drill)
    runpy.run_path(str(EXAMPLE / "after.py"))
    assert capsys.readouterr().out.startswith(f"{who} says: two books")
    assert {who} == {HOSTS[request.url.host] for request in vendors.requests}


def test_an_answer_that_breaks_off_is_told(vendors, monkeypatch, capsys):
    """The drill that the page calls worse raises `StreamInterrupted`, with what had arrived."""
    assert "`zhipu=cut_after:20`" in PAGE
    monkeypatch.setenv("LLMSWITCH_DRILL", "zhipu=cut_after:20")
    with pytest.raises(StreamInterrupted) as caught:
        runpy.run_path(str(EXAMPLE / "after.py"))
    assert caught.value.partial.text == capsys.readouterr().out
    assert "qianfan" == HOSTS[vendors.requests[0].url.host]


def test_data_goes_nowhere_else(monkeypatch):
    """With the page's file a target outside China is left out, key or no key."""
    for name in KEYS:
        monkeypatch.setenv(name, "sk-0123456789")
    given = tomllib.loads((EXAMPLE / "llmswitch.toml").read_text("utf-8"))
    given["chains"]["assistant"]["targets"].append("openai:gpt-4o")
    setup = Setup(Loaded.from_mapping(given))
    assert ["zhipu", "qianfan", "tencent", "dashscope"] == [target.provider for target in setup.chain(None).targets]
    assert {"openai:gpt-4o": "us"} == setup.excluded()


def test_both_languages_have_the_same_blocks_and_links():
    """The translation is the same page: each block, each heading's level, each link's goal; both lead to the other."""
    for name in ("docs/leaving-openai", "README"):
        english, chinese = ((ROOT / f"{name}{end}.md").read_text("utf-8") for end in ("", ".zh"))
        fences = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
        assert fences.findall(english) == fences.findall(chinese)
        plain = [fences.sub("", page) for page in (english, chinese)]
        assert re.findall(r"^#+", plain[0], re.MULTILINE) == re.findall(r"^#+", plain[1], re.MULTILINE)
        assert plain[0].count("\n|") == plain[1].count("\n|")
        goals = [sorted(re.findall(r"\]\((.*?)\)", page.replace(".zh.md", ".md"))) for page in plain]
        assert goals[0] == goals[1]
        assert f"]({Path(name).name}.zh.md)" in english
        assert f"]({Path(name).name}.md)" in chinese


@pytest.mark.slow
def test_the_old_program_runs_as_it_stands(monkeypatch, capsys):
    """before.py is a real program of OpenAI's SDK, and prints the same of the same answers."""
    openai = pytest.importorskip("openai")
    real = openai.OpenAI
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    with httpx.Client(transport=FakeVendor(shop)) as client:
        monkeypatch.setattr(openai, "OpenAI", lambda: real(http_client=client))
        runpy.run_path(str(EXAMPLE / "before.py"))
    assert "openai says: two books, on their way, expected on Friday \n" == capsys.readouterr().out


# Every process of the shell meets these vendors in place of the network.
SITE = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import llmswitch
from test_leaving_openai import FakeVendor, shop
real = llmswitch.Client
llmswitch.Client = lambda *given: real(*given, http_client=FakeVendor(shop))
"""


@pytest.mark.slow
def test_the_commands_of_the_page_run(tmp_path):
    """The page's shell blocks run one after another in one shell, in the example's folder; the file is the page's."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE.format(tests=str(ROOT / "tests"), root=str(ROOT)))
    (tmp_path / "bin").mkdir()
    for name, what in {"python": "", "llmswitch": "-m llmswitch"}.items():
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} {what} "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "after.py").write_text((EXAMPLE / "after.py").read_text("utf-8"))
    equivalents, init, drills = blocks("sh")
    config = f"cp llmswitch.toml written.toml\ncp {EXAMPLE / 'llmswitch.toml'} llmswitch.toml\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", equivalents + init + config + drills],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "zhipu:glm" in done.stdout
    assert "qianfan says: two books" in done.stdout
    assert "dashscope says: two books" in done.stdout
    assert "a drill is on" in done.stderr
    written = tomllib.loads((tmp_path / "written.toml").read_text("utf-8"))
    named = {target.partition(":")[0] for target in written["chains"]["main"]["targets"]}
    assert {"zhipu", "qianfan", "tencent", "dashscope"} == named
    assert "..." not in (tmp_path / "written.toml").read_text("utf-8")
