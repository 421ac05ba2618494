"""A dialect as one provider speaks it for one model: what it can do there, and how it departs from the usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ._adapter import Adapter, ModelIdentity
from ._capabilities import Capabilities
from ._config import ProviderConfig
from ._endpoints import version_of
from ._errors import ConfigError
from ._provider import ProviderSpec
from ._registry import author_of, dialect, head_of, is_provider
from ._strict import first_problem

__all__ = ["as_its_author", "make_adapter", "spoken_by"]

_SPOKEN = ("auth", "scheme", "schemes", "headers", "version", "versions", "request_id_headers", "rate_headers")


def spoken_by(spec: ProviderSpec, own: ProviderConfig, model: str) -> str:
    """The name of that dialect."""
    if own.dialect is not None and own.dialect in spec.spoken:
        return own.dialect
    return spec.dialect if own.base_url is not None else spec.dialect_of(model)


def make_adapter(spec: ProviderSpec, own: ProviderConfig, identity: ModelIdentity, where: str) -> Adapter:
    """
    The dialect as this provider speaks it for this model: the one that `own` chose, where it speaks that.

    A server of one's own is asked in the usual one where nobody chose: few that stand in for a vendor speak all of his.

    Raises `ConfigError` for an option that there is not.
    """
    version = version_of(spec, own)
    spoken = spoken_by(spec, own, identity.model)
    adapter_class = dialect(spoken)
    capabilities: dict[str, Any] = dict(adapter_class.baseline)
    options: dict[str, Any] = {}
    for able, departs in spec.layers(identity.model, spoken):
        capabilities.update(able)
        _overlay(options, departs)
    if spoken in spec.dialects:
        _restrict(capabilities, spec.dialects[spoken].capabilities)
    if version is not None:
        _restrict(capabilities, spec.versions[version].capabilities)
        _overlay(options, spec.versions[version].options)
    capabilities.update(own.capabilities)
    _overlay(options, _of_dialect(own.options, spec, adapter_class))
    try:
        able_record = Capabilities.model_validate(capabilities)
    except ValidationError as problem:
        raise ConfigError(f"{where}.capabilities.{first_problem(problem)}") from None
    try:
        option_record = adapter_class.Options.model_validate(options)
    except ValidationError as problem:
        raise ConfigError(f"{where}.options.{first_problem(problem)}") from None
    return adapter_class(identity, able_record, option_record)


def _of_dialect(options: Mapping[str, Any], spec: ProviderSpec, adapter_class: type[Adapter]) -> Mapping[str, Any]:
    """The options without those of another dialect of the provider's, which its other models have."""
    if not options or len(spec.spoken) == 1:
        return options
    known = {field for name in spec.spoken for field in dialect(name).Options.model_fields}
    foreign = known - set(adapter_class.Options.model_fields)
    return {name: value for name, value in options.items() if name not in foreign}


def _overlay(options: dict[str, Any], departs: Mapping[str, Any]) -> None:
    """Options over options; a table is overlaid entry by entry, so that one level of it can be changed alone."""
    for name, value in departs.items():
        before = options.get(name)
        options[name] = {**before, **value} if isinstance(before, Mapping) and isinstance(value, Mapping) else value


def _restrict(capabilities: dict[str, Any], version: Mapping[str, Any]) -> None:
    """What a version of the API takes can only be less than what the model does."""
    for name, value in version.items():
        before = capabilities.get(name)
        both = isinstance(value, list) and isinstance(before, list)
        capabilities[name] = [each for each in before or () if each in value] if both else value


def as_its_author(name: str) -> dict[str, Any]:
    """How a dialect is spoken by the one that it is named for: what proves who asks, and the dated versions."""
    if not is_provider(author_of(name)):
        return {}
    author = head_of(author_of(name))
    return {field: getattr(author, field) for field in _SPOKEN}
