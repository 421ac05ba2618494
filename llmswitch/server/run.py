"""Two listeners in one process, and their orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from llmswitch._config import ServerConfig
from llmswitch._config_file import Loaded
from llmswitch._errors import ConfigError
from llmswitch.doors import Door

from .admin import admin_app
from .answering import Gateway
from .app import make_gateway, public_app
from .arriving import Arriving
from .gate import ASGI, is_loopback

__all__ = ["check_binds", "serve"]

_LAST_WORDS = 5.0  # seconds for the events that say the end, after the limit


def check_binds(loaded: Loaded) -> None:
    """Raises `ConfigError` where somebody beyond this machine could ask without a key."""
    settings = loaded.config.server
    for place, host, admin in (("host", settings.host, False), ("admin_host", settings.admin_host, True)):
        if is_loopback(host):
            continue
        if not loaded.trusted:
            raise ConfigError(
                f"{loaded.source}: server.{place}: this file was found, not named, so it may not open {host} to "
                "others; name it with --config or LLMSWITCH_CONFIG"
            )
        if not any(key.admin is admin for key in settings.keys):
            raise ConfigError(
                f"{loaded.source}: server.{place}: others can reach {host}, and there is no key"
                f"{' with admin = true' if admin else ''}: `llmswitch serve key NAME` makes one"
            )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem = None
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # whom it accepts inherits it; asyncio sets it for sockets that it made itself. Else each answer is 40 ms late,
        # for its second packet waits until the client has acknowledged the first.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as wrong:
        problem = wrong.strerror or str(wrong)
    raise ConfigError(f"server: can't listen on {host}, port {port}: {problem}")


class _Server(uvicorn.Server):
    """Signals are for both listeners together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: ASGI, settings: ServerConfig) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            http=Arriving,
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=round(settings.shutdown_timeout + _LAST_WORDS),
        )
    )


def serve(loaded: Loaded, doors: Sequence[Door], announce: Callable[[str, str], None]) -> None:
    """
    Serve until SIGTERM or Ctrl-C. `announce` is told where, once both listen.

    Then nothing new is taken; answers under way have `shutdown_timeout` seconds, and are ended with an error that their
    protocol knows. Raises `ConfigError` before anything listens.
    """
    check_binds(loaded)
    gateway = make_gateway(loaded)
    settings = gateway.settings
    with _listen(settings.host, settings.port) as public, _listen(settings.admin_host, settings.admin_port) as admin:
        where = (_url(public), _url(admin))
        asyncio.run(_serve(gateway, doors, (public, admin), lambda: announce(*where)))


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _serve(
    gateway: Gateway,
    doors: Sequence[Door],
    listeners: tuple[socket.socket, socket.socket],
    announce: Callable[[], None],
) -> None:
    public = _server(public_app(gateway, doors), gateway.settings)
    admin = _server(admin_app(gateway), gateway.settings)
    ending = asyncio.Event()
    with _signals(ending):
        serving = [asyncio.create_task(each.serve([at])) for each, at in zip((public, admin), listeners, strict=True)]
        announce()
        stopping = asyncio.create_task(ending.wait())
        await asyncio.wait({stopping, *serving}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await _end(gateway, public, serving[0])
        admin.should_exit = True
        await asyncio.gather(*serving)
        await gateway.client.aclose()


async def _end(gateway: Gateway, public: _Server, serving: asyncio.Task[None]) -> None:
    """Nothing new; what is under way has its seconds, and then a last word."""
    gateway.room.closing = True
    public.should_exit = True
    await asyncio.wait({serving}, timeout=gateway.settings.shutdown_timeout)
    gateway.room.over.set()
    await asyncio.wait({serving})


@contextmanager
def _signals(ending: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(ending.set))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
