"""Messages: what a failure is, by the vendor's code, type, words and status."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from llmswitch import AllTargetsFailed, Client, LLMSwitchError
from llmswitch._adapter import ErrorFacts
from llmswitch.providers.anthropic_errors import read_error
from tests.rows import rows


def raised(status: int, body: bytes, headers: dict[str, str] | None = None) -> LLMSwitchError:
    """The error that a caller gets for such a refusal."""
    transport = httpx.MockTransport(
        lambda _: httpx.Response(status, headers={"content-type": "application/json", **(headers or {})}, content=body)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-not-a-key")
        client = Client("anthropic:claude-opus-5", config={}, http_client=httpx.Client(transport=transport))
    with pytest.raises(LLMSwitchError) as caught:
        client.chat("Hi", timeout=1)
    assert not isinstance(caught.value, AllTargetsFailed)
    return caught.value


def said(kind: str, message: str = "It went wrong.", code: str | None = None) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return json.dumps({"type": "error", "error": error, "request_id": "req_011"}).encode()


INVALID = "invalid_request_error"


@rows(
    ("status", "body", "becomes"),
    [
        (400, said(INVALID, "messages: Field required"), "BadRequest"),
        (400, said(INVALID, "prompt is too long: 1000001 tokens > 1000000 maximum"), "ContextTooLong"),
        (
            400,
            said(
                INVALID, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input"
            ),
            "ContextTooLong",
        ),
        (
            400,
            said(INVALID, "You have reached your specified API usage limits. You will regain access on 2026-12-01."),
            "QuotaExhausted",
        ),
        (400, said(INVALID, "You have reached your specified workspace API usage limits."), "QuotaExhausted"),
        (400, said(INVALID, "Disabled.", "organization_on_hold"), "PermissionDenied"),
        (400, said(INVALID, "This organization has been disabled."), "PermissionDenied"),
        (
            400,
            said(INVALID, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing"),
            "Arrears",
        ),
        (400, said(INVALID, "Output blocked by content filtering policy"), "ContentFiltered"),
        (400, said(INVALID, "temperature: Extra inputs are not permitted"), "CapabilityMismatch"),
        (400, said(INVALID, "`temperature` is deprecated for this model."), "CapabilityMismatch"),
        (
            400,
            said(INVALID, '"thinking.type.disabled" is not supported for this model. Use "thinking.type.adaptive"'),
            "CapabilityMismatch",
        ),
        (400, said(INVALID, "role 'system' is not supported on this model"), "CapabilityMismatch"),
        (400, said(INVALID, "This model does not support assistant message prefill."), "CapabilityMismatch"),
        (
            400,
            said(INVALID, "Thinking may not be enabled when tool_choice forces tool use."),
            "CapabilityMismatch",
        ),
        (400, said(INVALID, "messages.1.content.0: Invalid `signature` in `thinking` block"), "CapabilityMismatch"),
        (
            400,
            said(
                INVALID,
                "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message "
                "cannot be modified.",
            ),
            "CapabilityMismatch",
        ),
        (
            400,
            said(INVALID, "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for it"),
            "CapabilityMismatch",
        ),
        (400, said(INVALID, "Too large.", "image_dimensions_too_large"), "CapabilityMismatch"),
        (401, said("authentication_error", "invalid x-api-key"), "AuthInvalid"),
        (402, said("billing_error"), "Arrears"),
        (403, said("permission_error"), "PermissionDenied"),
        (403, b'{"error":{"type":"forbidden","message":"Request not allowed"}}', "RegionBlocked"),
        (403, said("forbidden", "You may not do this"), "PermissionDenied"),
        (404, said("not_found_error", "model: claude-9"), "ModelGone"),
        (409, said("conflict_error"), "ServerError"),
        (413, said("request_too_large", "Request exceeds the maximum size"), "ContextTooLong"),
        (413, said(INVALID, "Too large.", "request_body_too_large_after_decoding"), "ContextTooLong"),
        (429, said("rate_limit_error", "50,000 input tokens per minute"), "RateLimited"),
        (429, said("rate_limit_error", "Too fast.", "ramp_limit_exceeded"), "RateLimited"),
        (429, said("rate_limit_error", "Used up.", "enforced_spend_limit_reached"), "QuotaExhausted"),
        (429, said("rate_limit_error", "Used up.", "contract_spend_limit_reached"), "QuotaExhausted"),
        (429, said("rate_limit_error", "This workspace has reached its spend limit."), "QuotaExhausted"),
        (500, said("api_error"), "ServerError"),
        (504, said("timeout_error"), "ServerError"),
        (529, said("overloaded_error", "Overloaded"), "Overloaded"),
        (529, b"", "Overloaded"),
        (502, b"<html><body>Bad gateway</body></html>", "ServerError"),
        (403, b"<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title></html>", "RegionBlocked"),
    ],
)
def test_each_failure_has_its_class(status: int, body: bytes, becomes: str) -> None:
    """The vendor's own code decides first, then its type with its words, then the status."""
    error = raised(status, body)
    assert (becomes, status) == (type(error).__name__, error.status)


@rows(
    ("kind", "becomes"),
    [
        ("overloaded_error", "Overloaded"),
        ("api_error", "ServerError"),
        ("rate_limit_error", "RateLimited"),
        ("timeout_error", "ServerError"),
    ],
)
def test_an_error_in_a_stream_is_classified_by_its_type(kind: str, becomes: str) -> None:
    """After HTTP 200 there is no status to go by: the type decides."""
    body = b"event: error\ndata: " + said(kind) + b"\n\n"
    assert becomes == type(raised(200, body, {"content-type": "text/event-stream"})).__name__


def test_the_wait_and_the_request_id_are_kept() -> None:
    """`retry-after` says how long, and the id is the one that support asks for."""
    error = raised(429, said("rate_limit_error"), {"retry-after": "7", "request-id": "req_header"})
    assert (7.0, "req_011") == (error.retry_after, error.request_id)


def test_the_code_is_the_vendors_own() -> None:
    """`details.error_code` is the code where it is there, the type is it otherwise."""
    assert "ramp_limit_exceeded" == raised(429, said("rate_limit_error", "x", "ramp_limit_exceeded")).code
    assert "rate_limit_error" == raised(429, said("rate_limit_error")).code


@rows(
    ("body", "expected"),
    [
        (said(INVALID, "m", "c"), ErrorFacts(400, code="c", type=INVALID, message="m", request_id="req_011")),
        (said(INVALID, "m"), ErrorFacts(400, type=INVALID, message="m", request_id="req_011")),
        (b'{"error":{"type":"forbidden","message":"m"}}', ErrorFacts(400, type="forbidden", message="m")),
        (
            b'{"error":{"code":401,"message":"m","type":"authentication_error"}}',
            ErrorFacts(400, code="401", type="authentication_error", message="m"),
        ),
        (b'{"error":{"type":"t","message":"m","details":{"error_code":7}}}', ErrorFacts(400, type="t", message="m")),
        (b'{"error":{"type":"t","message":"m","details":[]}}', ErrorFacts(400, type="t", message="m")),
        (b'{"detail":"m"}', ErrorFacts(400, message="m")),
        (b"words", ErrorFacts(400, message="words")),
        (b"", ErrorFacts(400)),
        (b"null", ErrorFacts(400)),
        (b"\xff{", ErrorFacts(400, message="\ufffd{")),
    ],
)
def test_any_body_gives_facts(body: bytes, expected: ErrorFacts) -> None:
    """The vendor's shape, the edge proxy's, that of Chat Completions, and no shape at all."""
    assert expected == read_error(400, body)
