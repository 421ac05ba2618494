"""The gateway as an ASGI application: its routes, behind the gate. The route is the path, never a header."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, Route, Router

from llmswitch._client import AsyncClient
from llmswitch._config_file import Loaded
from llmswitch.doors import Door
from llmswitch.doors.counting import PATH as COUNT
from llmswitch.doors.messages import MessagesDoor

from .answering import AtDoor, Gateway
from .counting import TokenCounting
from .embeddings import Embeddings
from .envelopes import envelopes_of
from .gate import ASGI, CALLER, Gate, Receive, Scope, Send, answer_json, said
from .keys import KeyRing, Models, with_key_budgets
from .limits import Room
from .watch import Watch

__all__ = ["Way", "make_gateway", "public_app", "public_routes"]

_NOWHERE = said("invalid_request_error", "not_found", "there is no such route")


def make_gateway(loaded: Loaded, *, http_client: object = None) -> Gateway:
    """What serves this configuration. Raises `ConfigError`, for a key of a vendor that is missing as well."""
    loaded = with_key_budgets(loaded)
    watch = Watch()
    client = AsyncClient._from(loaded, None, http_client, None, watch.hooks)  # noqa: SLF001 - of this package
    models = Models(loaded.config, client._setup)  # noqa: SLF001
    models.prepare()
    settings, targets = loaded.config.server, client._setup.targets()  # noqa: SLF001
    watch.expect(client._setup.names(), [target.name for target in targets])  # noqa: SLF001
    envelopes = envelopes_of(loaded, targets)
    return Gateway(client, settings, models, watch, Room(settings.max_concurrent), envelopes=envelopes)


def public_routes(gateway: Gateway, doors: Sequence[Door]) -> list[BaseRoute]:
    """A route for each door, and what SDKs ask beside."""
    routes: list[BaseRoute] = []
    for door in doors:
        sealed = door.sealing(gateway.envelopes)
        at = AtDoor(gateway, sealed)
        routes.append(Way(f"/v1/{at.name}", at, methods=["POST"]))
        if isinstance(sealed, MessagesDoor):
            routes.append(Way(f"/v1{COUNT}", TokenCounting(gateway, sealed), methods=["POST"]))
    # the errors of vectors are said as the door of the same protocol says its own
    alike = [door for door in doors if door.path.strip("/").removeprefix("v1/") in ("chat/completions", "responses")]
    routes += [Way("/v1/embeddings", Embeddings(gateway, door), methods=["POST"]) for door in alike[:1]]
    routes.append(Way("/v1/models", _ModelList(gateway), methods=["GET"]))
    routes.append(Way("/v1/models/{name:path}", _OneModel(gateway), methods=["GET"]))
    routes.append(Way("/health", Alive(gateway), methods=["GET"]))
    return routes


def public_app(gateway: Gateway, doors: Sequence[Door]) -> ASGI:
    """The doors, for clients."""
    ring = KeyRing(key for key in gateway.settings.keys if not key.admin)
    return Gate(Router(public_routes(gateway, doors), redirect_slashes=False, default=nowhere), ring)


class Way(Route):
    """A route that says in JSON, as all the others do, which methods it takes."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette's own answer to another method is bare text."""
        taken = sorted(self.methods or ())
        if scope["method"] in taken:
            await self.app(scope, receive, send)
            return
        problem = said("invalid_request_error", "method_not_allowed", f"this route takes {', '.join(taken)}")
        await answer_json(send, 405, problem, {"allow": ", ".join(taken)})


async def nowhere(_scope: Scope, _receive: Receive, send: Send) -> None:
    """What is answered where there is no route."""
    await answer_json(send, 404, _NOWHERE)


class Alive:
    """Whether the process takes requests, and nothing else."""

    def __init__(self, gateway: Gateway) -> None:
        self._room = gateway.room

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        if self._room.closing:
            await answer_json(send, 503, {"status": "closing"})
        else:
            await answer_json(send, 200, {"status": "ok"})


def _shown(name: str) -> dict[str, object]:
    """A model in a form that is both OpenAI's and Anthropic's."""
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "display_name": name,
        "created": 0,
        "created_at": "1970-01-01T00:00:00Z",
        "owned_by": "llmswitch",
    }


class _ModelList:
    """The names that a key may ask."""

    def __init__(self, gateway: Gateway) -> None:
        self._models = gateway.models

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        names = self._models.names(scope[CALLER])
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        data = [_shown(name) for name in names]
        await answer_json(send, 200, {"object": "list", "data": data, "has_more": False, **ends})


class _OneModel:
    """One of them, or one that the list leaves out and the key may ask all the same."""

    def __init__(self, gateway: Gateway) -> None:
        self._models = gateway.models

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        name = scope["path_params"]["name"]
        if self._models.allows(scope[CALLER], name):
            await answer_json(send, 200, _shown(name))
        else:
            problem = "there is no such model for this key; /v1/models lists them"
            await answer_json(send, 404, said("invalid_request_error", "model_not_found", problem))
