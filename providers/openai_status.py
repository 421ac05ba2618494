"""
A verdict on an answer that stands beside it: a status under HTTP 200, a code in the words, a flag that withdraws it.

Facts: MiniMax's error reference and OpenAPI (`base_resp`; on the compatible path the number stands at the end of the
message), Qianfan's reference (`flag` of a choice). Gathered 2026-11-27.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from llmswitch._adapter import ErrorFacts, VendorFault
from llmswitch.providers.openai_errors import facts_of

if TYPE_CHECKING:
    from llmswitch.providers.openai import ChatCompletionsOptions

__all__ = ["AnswerStatus", "CodePattern", "check_status", "is_withdrawn", "vendor_facts"]


def _with_one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error:
        groups = 0
    if groups != 1:
        raise ValueError("must be a regular expression with one group, which is the code")
    return pattern


CodePattern = Annotated[str, AfterValidator(_with_one_group)]


class AnswerStatus(BaseModel):
    """
    An object in every answer, at the key `at`, or the answer itself where that is empty: its `code` says whether it is
    one, its `message` what went wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    at: str = ""
    code: str = "code"
    message: str = "message"
    success: str = "0"


def check_status(body: Mapping[str, Any], options: "ChatCompletionsOptions") -> None:
    """Raises `VendorFault` where an answer or an event says of itself that it is none."""
    if _failed(body, options.answer_status):
        raise VendorFault(vendor_facts(body, options))


def vendor_facts(value: Any, options: "ChatCompletionsOptions") -> ErrorFacts:
    """The facts of an error's JSON, with the vendor's own code wherever it stands."""
    status = options.answer_status
    if isinstance(value, Mapping) and status is not None and _failed(value, status):
        said = value[status.at] if status.at else value
        identity = value.get("request_id") or value.get("id") or value.get("sid")
        return ErrorFacts(
            code=str(said[status.code]),
            message=str(said.get(status.message) or ""),
            request_id=identity if isinstance(identity, str) else None,
        )
    facts = facts_of(value)
    if options.code_in_message is not None and facts.code is None:
        found = re.search(options.code_in_message, facts.message)
        facts.code = found[1] if found is not None else None
    return facts


def _failed(body: Mapping[str, Any], status: AnswerStatus | None) -> bool:
    if status is None:
        return False
    said = body.get(status.at) if status.at else body
    if not isinstance(said, Mapping):
        return False
    code = said.get(status.code)
    return isinstance(code, (str, int)) and str(code) != status.success


def is_withdrawn(choice: Mapping[str, Any], flags: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a flag of the choice says that its text must not be shown."""
    return any(str(choice[field]) in values for field, values in flags.items() if choice.get(field) is not None)
