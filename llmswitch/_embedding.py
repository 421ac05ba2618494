"""Vectors of texts: what is asked, what comes back, and which targets may stand in for each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

from ._adapter import Adapter, HTTPRequest, NotAnAnswer
from ._assembly import ReplyAssembly
from ._capabilities import Capabilities
from ._errors import CapabilityMismatch, InvalidRequest
from ._estimate import Spend, of_texts
from ._nearest import nearest
from ._operation import Operation, Reply, Request
from ._reply import Attempt, ChatWarning, Cost, Usage
from ._request import read_extra

if TYPE_CHECKING:
    from ._reading import Reading
    from ._target import Target

__all__ = [
    "EMBED",
    "EmbedOptions",
    "EmbedReply",
    "EmbedRequest",
    "InputType",
    "VectorAssembly",
    "check_one_model",
    "fit_texts",
    "read_vectors",
]


InputType: TypeAlias = Literal["query", "document"]


class EmbedOptions(TypedDict, total=False):
    """
    What `embed()` takes beside the texts. Everything is optional.

    `model`, `timeout`, `extra`, `tags`: as in `ChatOptions`. `dimensions`: how many numbers a vector has, where the
    model leaves that open. `input_type`: what the texts are for: `document`, to be found, or `query`, to find them by;
    where a model makes no such difference it is refused. `degrade`: it is left out there, with a warning (the chain's
    own setting by default). `same_model`: the targets of the chain serve one model under different names, as the
    deployments of a cloud may; without it such a chain is refused, for vectors of two models can't be compared.
    """

    model: str | None
    dimensions: int | None
    input_type: InputType | None
    degrade: bool | None
    timeout: float | None
    extra: Mapping[str, Mapping[str, Any]] | None
    tags: Sequence[str] | None
    same_model: bool | None


@dataclass(slots=True, frozen=True)
class EmbedRequest:
    """The texts that vectors are wanted of. `extra` and `degrade` as in `ChatRequest`."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    input_type: InputType | None = None
    degrade: bool = False
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        texts: object,
        *,
        dimensions: object = None,
        input_type: Any = None,
        degrade: object = None,
        extra: object = None,
        **unknown: object,
    ) -> EmbedRequest:
        """From what a caller passed to `embed()`. Raises `InvalidRequest` that names the field."""
        if unknown:
            name = min(unknown)
            raise InvalidRequest(
                f"there is no option {name!r}" + nearest(name, EmbedOptions.__annotations__), field=name
            )
        listed = [texts] if isinstance(texts, str) else texts
        if not isinstance(listed, (list, tuple)) or not listed:
            raise InvalidRequest("texts must be a string, or a list of strings that is not empty", field="texts")
        for index, text in enumerate(listed):
            if not isinstance(text, str) or not text.strip():
                raise InvalidRequest(f"texts[{index}] must be a string that is not blank", field=f"texts[{index}]")
        whole = isinstance(dimensions, int) and not isinstance(dimensions, bool) and dimensions >= 1
        if dimensions is not None and not whole:
            raise InvalidRequest("dimensions must be a whole number of at least 1", field="dimensions")
        if input_type is not None and input_type not in get_args(InputType):
            raise InvalidRequest("input_type must be 'query' or 'document'", field="input_type")
        if degrade is not None and not isinstance(degrade, bool):
            raise InvalidRequest("degrade must be True or False", field="degrade")
        size = dimensions if isinstance(dimensions, int) else None
        return cls(tuple(listed), size, input_type, bool(degrade), read_extra(extra))

    def overridden(self, settings: Mapping[str, Any]) -> EmbedRequest:  # noqa: ARG002
        """The same: what a target sets for answers says nothing of vectors."""
        return self

    def __repr__(self) -> str:
        return f"EmbedRequest({len(self.texts)} texts)"


@dataclass(slots=True)
class EmbedReply:
    """
    The vectors of the texts, in their order, whoever made them.

    `served_model` is the name the vendor says it used, `raw` its own JSON. The rest is as in `ChatReply`.
    """

    vectors: list[list[float]]
    usage: Usage
    provider: str = ""
    model: str = ""
    served_model: str | None = None
    cost: Cost | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[ChatWarning] = field(default_factory=list)
    attempts: Sequence[Attempt] = ()

    @property
    def dimensions(self) -> int:
        """How many numbers each vector has."""
        return len(self.vectors[0])

    def __repr__(self) -> str:
        return (
            f"EmbedReply({self.provider}:{self.model}, {len(self.vectors)} vectors of {self.dimensions} numbers, "
            f"{len(self.attempts)} attempts)"
        )


class VectorAssembly(ReplyAssembly):
    """Vectors that came in one piece, in the place of an answer."""

    __slots__ = ("vectors",)

    def __init__(self, vectors: list[list[float]], usage: Usage, body: Mapping[str, Any]) -> None:
        super().__init__()
        self.vectors = vectors
        self.usage = usage
        self.raw = body
        model = body.get("model")
        self.served_model = model if isinstance(model, str) else None
        self.finish("stop")

    def embedding(self) -> EmbedReply:
        """The reply, without its target."""
        return EmbedReply(
            self.vectors, self.usage, served_model=self.served_model, raw=self.raw, warnings=list(self.warnings)
        )


def read_vectors(found: Sequence[Any], request: EmbedRequest) -> list[list[float]]:
    """What a vendor sent as vectors of these texts. Raises `NotAnAnswer` where it is not one for each, all alike."""
    if len(found) != len(request.texts):
        raise NotAnAnswer(f"{len(found)} vectors came for {len(request.texts)} texts")
    vectors = []
    for each in found:
        if not isinstance(each, list) or not each or not all(type(number) in (float, int) for number in each):
            raise NotAnAnswer("a vector is not a list of numbers")
        vectors.append([float(number) for number in each])
    sizes = {len(vector) for vector in vectors}
    if len(sizes) > 1 or not all(math.isfinite(number) for vector in vectors for number in vector):
        raise NotAnAnswer("the vectors differ in their length, or a number in them is none")
    if request.dimensions is not None and sizes != {request.dimensions}:
        raise NotAnAnswer(f"vectors of {sizes.pop()} numbers came, and {request.dimensions} were asked for")
    return vectors


def fit_texts(request: EmbedRequest, able: Capabilities, target: str) -> tuple[EmbedRequest, list[ChatWarning]]:
    """The request as a target can take it, and what was changed. Raises `CapabilityMismatch`."""
    if not able.embeddings:
        raise CapabilityMismatch(
            "vectors are not known to be made here; where they are, say so: capabilities = { embeddings = true }"
        )
    taken = able.embedding_settings
    if request.dimensions is not None and "dimensions" not in taken:
        raise CapabilityMismatch("dimensions: the length of a vector can't be chosen here; leave it out")
    if request.input_type is None or "input_type" in taken:
        return request, []
    why = "input_type: it can't be said here what the texts are for"
    if not request.degrade:
        raise CapabilityMismatch(f"{why}; pass degrade=True to go on without, or choose another model")
    return replace(request, input_type=None), [ChatWarning("degraded", f"{target}: {why}; left out")]


def check_one_model(targets: Sequence[Target]) -> None:
    """Raises `InvalidRequest` where the targets serve different models, by their names without an owner's."""
    names = dict.fromkeys(target.model.rpartition("/")[2].lower() for target in targets)
    if len(names) > 1:
        raise InvalidRequest(
            f"the chain's targets serve different models ({', '.join(target.name for target in targets)}), and vectors "
            "of one can't be compared with those of another; name targets of one model, or pass same_model=True where "
            "these are names of one",
            field="model",
        )


class _Embed(Operation):
    def fit(self, request: EmbedRequest, target: Target) -> tuple[Request, list[ChatWarning]]:
        return fit_texts(request, target.adapter.capabilities, target.name)

    def build(self, adapter: Adapter, request: EmbedRequest, *, stream: bool) -> HTTPRequest:  # noqa: ARG002
        return adapter.build_embedding(request)

    def asks_stream(self, adapter: Adapter, *, stream: bool) -> bool | None:  # noqa: ARG002
        return None

    def parse(self, adapter: Adapter, body: Any, request: EmbedRequest) -> ReplyAssembly:
        return adapter.parse_embedding(body, request)

    def reply(self, reading: Reading) -> Reply:
        assert isinstance(reading.assembly, VectorAssembly)
        return reading.assembly.embedding()

    def most(self, request: EmbedRequest, able: Capabilities) -> Spend:  # noqa: ARG002
        return of_texts(request.texts)


EMBED: Operation = _Embed()
