"""Tools: a typed Python function, or a name with a JSON schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias, get_type_hints

from pydantic import ConfigDict, Field, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from pydantic.fields import FieldInfo

from ._errors import InvalidRequest

__all__ = ["Tool", "ToolLike", "read_tools"]

# The strictest of the vendors' rules: letters, digits, _ and -, at most 64.
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_SECTION = re.compile(r"^(args|arguments|parameters|params)\s*:?\s*$", re.IGNORECASE)
_PARAMETER = re.compile(r"^\s*(?::param\s+)?\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.+)$")


@dataclass(slots=True, frozen=True)
class Tool:
    """
    Something the model may call.

    `parameters` is a JSON schema whose root is an object. `function` is what to run, where the tool came from one.
    Raises `InvalidRequest` for a name that vendors refuse or a root that is not an object.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    function: Callable[..., Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise InvalidRequest(
                f"tool name {self.name[:80]!r} must be 1 to 64 of a-z, A-Z, 0-9, _ and -", field="tools.name"
            )
        if self.parameters.get("type") != "object":
            raise InvalidRequest(
                f'tool {self.name}: parameters must be a JSON schema with "type": "object" at its root',
                field=f"tools.{self.name}.parameters",
            )

    @classmethod
    def from_function(cls, function: Callable[..., Any]) -> Tool:
        """
        From a typed function: its name, its docstring and its annotations give the schema.

        Descriptions of parameters are read from an `Args:` section or from `:param name:` lines.
        Raises `InvalidRequest` that names the parameter whose type has no JSON schema, or that has none.
        """
        return _from_function(function)


ToolLike: TypeAlias = Tool | Callable[..., Any] | Mapping[str, Any]


def read_tools(tools: object) -> tuple[Tool, ...]:
    """What a caller gave as `tools=`, as tools. Raises `InvalidRequest` that names the tool at fault."""
    if tools is None:
        return ()
    if isinstance(tools, (str, bytes, Mapping)) or not hasattr(tools, "__iter__"):
        raise InvalidRequest("tools must be a list of functions or Tool objects", field="tools")
    read = tuple(_read(tool, index) for index, tool in enumerate(tools))
    names = [tool.name for tool in read]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"two tools are named {name}", field="tools")
    return read


def _read(tool: object, index: int) -> Tool:
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, Mapping):
        inner = tool.get("function", tool)
        if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            parameters = inner.get("parameters") or {"type": "object", "properties": {}}
            if isinstance(parameters, Mapping):
                return Tool(inner["name"], str(inner.get("description") or ""), parameters)
    elif callable(tool):
        return Tool.from_function(tool)
    raise InvalidRequest(
        f"tools[{index}] must be a typed function, a Tool, or a dict with name, description and parameters",
        field=f"tools[{index}]",
    )


@lru_cache(maxsize=512)
def _from_function(function: Callable[..., Any]) -> Tool:
    name = getattr(function, "__name__", "")
    if not _NAME.match(name):
        raise InvalidRequest("a tool must be a named function (def), not a lambda or an object", field="tools")
    summary, described = _read_docstring(inspect.getdoc(function) or "")
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as problem:
        raise InvalidRequest(f"tool {name}: its annotations can't be read: {problem}", field=f"tools.{name}") from None
    fields: dict[str, tuple[Any, FieldInfo]] = {}
    for parameter in inspect.signature(function).parameters.values():
        where = f"tools.{name}.{parameter.name}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidRequest(
                f"tool {name}: parameter {parameter.name} can't be given by name; models call by name",
                field=where,
            )
        if parameter.name not in hints:
            raise InvalidRequest(
                f"tool {name}: parameter {parameter.name} has no type; write one, such as {parameter.name}: str",
                field=where,
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        described_field = Field(default, alias=parameter.name, description=described.get(parameter.name))
        fields[parameter.name] = (hints[parameter.name], described_field)
        _check_type(name, parameter.name, fields[parameter.name])
    schema = _schema(fields)
    schema.pop("title", None)
    for properties in schema.get("properties", {}).values():
        properties.pop("title", None)
    return Tool(name, summary, schema, function)


def _schema(fields: Mapping[str, tuple[Any, FieldInfo]]) -> dict[str, Any]:
    # Pydantic keeps some names for itself (model_…, leading underscores): the fields go by alias.
    aliased: Any = {f"p{index}": spec for index, spec in enumerate(fields.values())}
    config = ConfigDict(protected_namespaces=())
    schema: dict[str, Any] = create_model("Parameters", __config__=config, **aliased).model_json_schema(by_alias=True)
    return schema


def _check_type(tool: str, parameter: str, spec: tuple[Any, FieldInfo]) -> None:
    try:
        _schema({parameter: spec})
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError):
        kind = getattr(spec[0], "__name__", str(spec[0]))
        raise InvalidRequest(
            f"tool {tool}: parameter {parameter} has the type {kind}, which has no JSON schema; use str, int, float, "
            "bool, list, dict, Literal, an Enum, a dataclass, a TypedDict or a pydantic model",
            field=f"tools.{tool}.{parameter}",
        ) from None


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The prose before the parameters, and what is said of each parameter."""
    summary: list[str] = []
    described: dict[str, str] = {}
    inside, last = False, None
    for line in text.splitlines():
        if _SECTION.match(line.strip()) and not line.startswith(" "):
            inside = True
        elif line.lstrip().startswith(":param") or (inside and line.startswith((" ", "\t"))):
            found = _PARAMETER.match(line)
            if found:
                last = found[1]
                described[last] = found[2].strip()
            elif last is not None:
                described[last] += " " + line.strip()
        elif inside and line.strip():
            inside = False
            if line.rstrip().endswith(":"):
                break
        elif line.lstrip().startswith((":return", ":raise", ":rtype")) or re.match(
            r"^(returns?|raises|yields?|examples?)\s*:\s*$", line.strip(), re.IGNORECASE
        ):
            break
        elif not inside:
            summary.append(line)
    return "\n".join(summary).strip(), described
