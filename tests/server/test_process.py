"""The gateway as a process of its own: official SDKs in front, a vendor on loopback behind, and its end."""

from __future__ import annotations

import re
import signal
import subprocess

import anthropic
import openai
import pytest

from tests.cli.conftest import Vendor, alone, config, spawn, vendor

__all__ = ["Vendor", "alone", "config", "spawn", "vendor"]

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway(spawn, config):
    """A gateway on free ports; its process and its address."""
    config.write_text(config.read_text() + "\n[server]\nport = 0\nadmin_port = 0\nshutdown_timeout = 1\n")
    process = spawn("serve", "--config", str(config))
    said = ""
    while "listening" not in said:
        said = process.stderr.readline()
        assert said, "the gateway ended"
    return process, re.search(r"listening on (http://[^,]+)", said)[1]


def test_the_official_sdks_are_answered(gateway):
    """Whole and as a stream, after a failover; and the process ends when it is told to."""
    process, url = gateway
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as sdk:
        asked = {"model": "main", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
        assert "Hello, world" == sdk.messages.create(**asked).content[0].text
        with sdk.messages.stream(**asked) as stream:
            assert "Hello, world" == stream.get_final_text()
        del asked["max_tokens"]
        counted = sdk.messages.with_raw_response.count_tokens(**asked, system="Brief.")
        assert ("estimate", True) == (counted.headers["x-llmswitch-count"], counted.parse().input_tokens > 1)
        with pytest.raises(anthropic.NotFoundError):
            sdk.messages.count_tokens(**{**asked, "model": "no:m"})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk:
        assert "Hello, world" == sdk.responses.create(model="main", input="Hi").output_text
        said = [{"role": "user", "content": "Hi"}]
        assert "Hello, world" == sdk.chat.completions.create(model="main", messages=said).choices[0].message.content
        with sdk.chat.completions.stream(model="main", messages=said) as stream:
            assert "Hello, world" == stream.get_final_completion().choices[0].message.content
        assert ["main", "default"] == [each.id for each in sdk.models.list()]
        with pytest.raises(openai.NotFoundError):
            sdk.responses.create(model="", input="Hi")
    shown = subprocess.run(["curl", "-s", f"{url}/health"], capture_output=True, check=True)
    assert b'{"status":"ok"}' == shown.stdout
    process.send_signal(signal.SIGTERM)
    assert 0 == process.wait(10)


def test_the_end_comes_in_mid_stream(gateway, vendor):
    """A stream that does not end within the limit is ended with an error that the SDK raises."""
    process, url = gateway
    vendor.ends = "never"
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as sdk:
        asked = {"model": "main", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
        with sdk.messages.stream(**asked) as stream:
            begun = next(iter(stream.text_stream))
            process.send_signal(signal.SIGTERM)
            with pytest.raises(anthropic.APIStatusError, match="shut down"):
                list(stream)
    assert begun
    assert 0 == process.wait(10)
