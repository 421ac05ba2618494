"""
The HTTP library that carries the requests, chosen by name, and everything that is private to it.

Nothing above this file knows which one is used.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from ._errors import ConfigError
from ._h11_body import AsyncBody, Body, connection_of
from ._httpcore_pool import sparing
from ._wire import Content, FaultKind

__all__ = ["Engine", "engine_named", "engine_of"]

# Each engine with its core, which owns the connections.
_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}

# What sending and reading can raise, the most specific first. "broken" becomes "stale" where a kept connection had
# not answered anything. StreamError and InvalidURL stand beside HTTPError.
_KINDS: tuple[tuple[str, FaultKind], ...] = (
    ("ConnectTimeout", "connect"),
    ("PoolTimeout", "pool"),
    ("ReadTimeout", "timeout"),
    ("WriteTimeout", "broken"),
    ("TimeoutException", "timeout"),
    ("ConnectError", "connect"),
    ("ProxyError", "connect"),
    ("RemoteProtocolError", "broken"),
    ("LocalProtocolError", "local"),
    ("UnsupportedProtocol", "local"),
    ("DecodingError", "garbage"),
    ("NetworkError", "broken"),
    ("TooManyRedirects", "garbage"),
    ("InvalidURL", "local"),
    ("StreamError", "broken"),
    ("HTTPError", "broken"),
)


@dataclass(slots=True, frozen=True, eq=False, repr=False)
class Engine:
    """
    One HTTP library. `http` and `core` are its modules; `caught` is what sending and reading can raise, and `kinds`
    what each of those means. `direct`: it knows no proxies.
    """

    direct: ClassVar[bool] = False

    name: str
    http: Any
    core: Any
    caught: tuple[type[Exception], ...]
    kinds: tuple[tuple[type[Exception], FaultKind], ...]

    def kind(self, problem: Exception) -> FaultKind:
        """What an exception among `caught` means."""
        return next(kind for base, kind in self.kinds if isinstance(problem, base))

    def request(
        self,
        method: str,
        url: str,
        query: str,
        headers: Mapping[str, str],
        content: Content,
        limits: Mapping[str, float],
    ) -> Any:
        """
        What is handed to a transport. `query`, where there is one, proves who asks, and is added to that of the URL.

        `limits`: seconds to connect, to read, to write and to wait for a connection.
        """
        found = _url(self, url)
        if query:
            found = found.copy_with(query=b"&".join(part for part in (found.query, query.encode()) if part))
        made = self.http.Request(method, found, headers=headers, content=content, extensions={"timeout": limits})
        if query:
            made.url = _signed_url(self)(found)
        return made

    def transport(self, backend: Any, *, sync: bool, verify: Any, proxy: str | None, most: int, idle: float) -> Any:
        """
        A transport with a pool of its own, whose connections are made by `backend`.

        `most` connections, of which each may be idle for so many seconds. `verify` is an `ssl.SSLContext`. Raises
        `ConfigError` where the library is not built as it was.
        """
        made = (self.http.HTTPTransport if sync else self.http.AsyncHTTPTransport)(
            verify=verify,
            trust_env=False,
            # the library closes all but 20 idle connections again and again if it is not told otherwise
            limits=self.http.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=idle),
            proxy=self._proxy(proxy, verify) if proxy is not None else None,
        )
        pool = made._pool  # noqa: SLF001 - there is no other way to name the backend
        if not all(hasattr(pool, name) for name in ("_network_backend", "_requests", "_optional_thread_lock")):
            raise ConfigError(f"this version of {self.name} is not one that llmswitch knows; install an older one")
        pool._network_backend = backend  # noqa: SLF001
        if self.name == "httpx":  # the pool of its fork asks no more than it has to
            sparing(pool)
        return made

    def _proxy(self, proxy: str, verify: Any) -> Any:
        """One that is spoken to over TLS is trusted by the same roots as everybody else."""
        return self.http.Proxy(proxy, ssl_context=verify if proxy.startswith("https://") else None)

    @staticmethod
    def lost(transport: Any, calls: Collection[object]) -> int:
        """
        Connections and places in its queue that the pool of a transport counts as used, and nobody uses.

        `calls` are those that are under way on it.
        """
        pool = transport._pool  # noqa: SLF001 - the pool itself does not notice
        with pool._optional_thread_lock:  # noqa: SLF001
            requests = pool._requests  # noqa: SLF001
            served = {id(request.connection) for request in requests}
            orphans = [
                each
                for each in pool.connections
                if id(each) not in served and not each.is_idle() and not each.is_closed()
            ]
            return len(orphans) + max(0, len(requests) - len(calls))

    @staticmethod
    def unread(response: Any) -> bool | None:
        """Whether bytes came behind the answer, which are nobody's; `None` where that can't be known."""
        connection = connection_of(response)
        return None if connection is None else bool(connection._h11_state.trailing_data[0])  # noqa: SLF001

    def body(self, response: Any, *, sync: bool) -> Any:
        """The pieces of the body as they come, of an answer by a transport that was made here."""
        connection = connection_of(response)
        if connection is not None:
            return (Body if sync else AsyncBody)(self.http, self.core, connection)
        return iter(response.stream) if sync else aiter(response.stream)


@lru_cache(maxsize=4096)
def _url(engine: Engine, text: str) -> Any:
    return engine.http.URL(text)


@lru_cache(maxsize=4)
def _signed_url(engine: Engine) -> Any:
    """
    The kind of address whose query proves who asks. Its text leaves that out, for it is what gets written down: the
    library's own client logs the text of every address at level INFO.
    """

    def said(url: Any) -> str:
        return f"{url.copy_with(query=None)}?[secret]"

    return type("SignedURL", (engine.http.URL,), {"__str__": said, "__repr__": lambda url: f"URL({said(url)!r})"})


def _without_its_command_line(name: str) -> Any:
    """
    The library. Where rich and click are installed it loads them for a command line of its own, which takes longer than
    all the rest of it; it does without where that can't be imported.
    """
    command_line = f"{name}._main"
    unasked = name not in sys.modules and command_line not in sys.modules
    if unasked:
        sys.modules[command_line] = None  # type: ignore[assignment]  # the sign that it can't be imported
    try:
        return importlib.import_module(name)
    finally:
        if unasked:
            sys.modules.pop(command_line, None)


@lru_cache(maxsize=3)
def engine_named(name: str) -> Engine:
    """The engine of that name, which is loaded now. Raises `ConfigError` where it is not installed."""
    try:
        if name == "httptools":
            kind: type[Engine] = importlib.import_module("._http1.engine", __package__).HTTPToolsEngine
            http = core = importlib.import_module("httpcore")
        else:
            kind, http, core = Engine, _without_its_command_line(name), importlib.import_module(_CORES[name])
    except ImportError:
        raise ConfigError(f"http.engine is {name!r}, which is not installed: pip install 'llmswitch[{name}]'") from None
    kinds: tuple[tuple[type[Exception], FaultKind], ...] = (
        *((getattr(http, problem), kind) for problem, kind in _KINDS if hasattr(http, problem)),
        (OSError, "broken"),
    )
    return kind(name, http, core, tuple(problem for problem, _ in kinds), kinds)


def engine_of(client: object, *, sync: bool) -> Engine:
    """
    The engine that a client or a transport of the caller's belongs to.

    Raises `TypeError` for anything else, and for one that waits in the other way.
    """
    wanted, other = ("", "Async") if sync else ("Async", "")
    for name in _CORES:
        # whose module was never loaded can't have made it
        module: Any = sys.modules.get(name)
        if module is None:
            continue
        if isinstance(client, (getattr(module, f"{wanted}Client"), getattr(module, f"{wanted}BaseTransport"))):
            return engine_named(name)
        if isinstance(client, getattr(module, f"{other}Client")):
            raise TypeError(
                f"http_client is an {name}.{other}Client, and {wanted}Client needs an {name}.{wanted}Client"
            )
    kinds = " or an ".join(f"{name}.{wanted}Client" for name in _CORES)
    raise TypeError(f"http_client must be an {kinds}, or a transport of either, not {type(client).__name__}")
