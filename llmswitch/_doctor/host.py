"""The way to a provider: its proxy, the name, the connection, TLS, and what its clock says."""

from __future__ import annotations

import os
from time import monotonic
from urllib.parse import urlsplit

from llmswitch._addresses import ip_address
from llmswitch._drill import Drill
from llmswitch._endpoint import Endpoint
from llmswitch._errors import DeadlineExceeded, FirstTokenTimeout, NoResponse
from llmswitch._resolver import resolve
from llmswitch._target import Target

from .asking import Heard
from .report import Check

__all__ = ["clock_check", "host_check", "proxy_check", "reached", "unused_proxy"]

_SKEW = 60.0  # seconds
_LOOKUP = 2.0
_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")
_PROXY_REFUSES = 407


def reached(heard: Heard) -> bool:
    """Whether the vendor's own host said anything."""
    return heard.status is not None and heard.status != _PROXY_REFUSES


def proxy_check(endpoint: Endpoint, heard: Heard) -> Check:
    """Which way the requests go."""
    proxy = endpoint.proxy
    if proxy is None:
        return Check("proxy", "ok", "none, straight to the host", facts={"proxy": None})
    facts = {"proxy": proxy.name}
    if _refused_by_proxy(heard):
        said = f"{proxy.name} wants a user and a password that it knows (HTTP 407)"
        return Check(
            "proxy", "fail", said, "write them into the proxy's address: http://USER:PASSWORD@HOST:PORT", facts
        )
    return Check("proxy", "ok", f"by {proxy.name}", facts=facts)


def _refused_by_proxy(heard: Heard) -> bool:
    """It answers a request with this status, or a wish for a way through with a line that begins with it."""
    fault = heard.fault
    tunnel = fault is not None and fault.kind == "connect" and f"says {_PROXY_REFUSES}" in fault.message
    return tunnel or heard.status == _PROXY_REFUSES


def host_check(target: Target, heard: Heard, drill: Drill | None) -> Check:
    """Whether somebody is there, and where on the way to him it ends if not."""
    endpoint = target.endpoint
    host = urlsplit(endpoint.base_url).netloc
    fault = heard.fault
    if reached(heard):
        took = f"{heard.seconds * 1000:.0f} ms"
        facts = {"host": host, "layer": None, "ms": round(heard.seconds * 1000)}
        return Check("host", "ok", f"{host} answers ({took})", facts=facts)
    if endpoint.proxy is not None and _refused_by_proxy(heard):
        return Check("host", "skipped", "the proxy lets nobody through", facts={"host": host, "layer": "proxy"})
    said = heard.error.message if heard.error is not None else "no answer"
    if drill is not None and drill.fault(target.provider) is not None:
        facts = {"host": host, "layer": "drill"}
        return Check("host", "fail", said, facts=facts)
    if fault is not None and fault.kind == "tls":
        plain = any(word in said for word in _NO_TLS)
        layer, todo = "tls", "that port speaks no TLS: does base_url begin with http://?" if plain else _TLS
    elif endpoint.proxy is not None and (fault is None or fault.kind == "connect"):
        layer, todo = "proxy", f"is {endpoint.proxy.name} there, and may it connect to {host}?"
    elif fault is not None and fault.kind == "connect":
        layer, said, todo = _connection(endpoint, fault.message, target.spec.unreachable)
    elif isinstance(heard.error, (DeadlineExceeded, FirstTokenTimeout, NoResponse)):
        layer = "http"
        said = f"{host} is connected to, but gives no answer (waited {heard.seconds:.0f} s)"
        todo = "look at the vendor's status page; where only you are left waiting, something on the way swallows it"
    else:
        layer, todo = "http", "is base_url the address of an API?"
    return Check("host", "fail", said, todo + unused_proxy(endpoint), {"host": host, "layer": layer})


_NO_TLS = ("WRONG_VERSION_NUMBER", "record layer failure")
_TLS = (
    "where a proxy of your company reads all traffic, http.ca_file names its root certificate; a clock that is wrong "
    "by months does this as well"
)


def _connection(endpoint: Endpoint, said: str, start_it: str) -> tuple[str, str, str]:
    """(layer, what happened, what to do) where no connection came about: the name, or the port."""
    parts = urlsplit(endpoint.base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        resolve(host, port, monotonic() + _LOOKUP)
    except TimeoutError:
        return "dns", f"no name server says where {host} is ({_LOOKUP:.0f} s)", "look at this machine's name server"
    except OSError:
        return (
            "dns",
            f"the name {host} does not resolve",
            "is it spelled right in base_url? Does DNS work on this machine?",
        )
    todo = start_it or "look at the network, and at what a firewall lets out"
    found = "" if ip_address(host) is not None else "the name resolves, but "
    return "tcp", f"{found}{host} port {port} can't be connected to: {said}", todo


def unused_proxy(endpoint: Endpoint) -> str:
    """What to add where a proxy is in the environment and stays unused."""
    name = next((name for name in _PROXY_VARIABLES if os.environ.get(name, "").strip()), None)
    if name is None or endpoint.proxy is not None or endpoint.own:
        return ""
    return f"; {name} is set but not used: trust_env = true under [http] makes it"


def clock_check(target: Target, heard: Heard) -> Check:
    """The clock of this machine against the vendor's."""
    ahead = heard.ahead
    if ahead is None:
        return Check("clock", "skipped", "the host did not say what time it is")
    facts = {"ahead_seconds": round(ahead)}
    if abs(ahead) <= _SKEW:
        return Check(
            "clock", "ok", "as the vendor's, to a few seconds" if abs(ahead) > 2 else "as the vendor's", facts=facts
        )
    way = "ahead of" if ahead > 0 else "behind"
    signs = target.endpoint.credential is not None
    said = f"{abs(ahead):.0f} s {way} the vendor's"
    said += ", and what proves who asks here goes by the time" if signs else ""
    todo = (
        "set this machine's clock: `timedatectl set-ntp true` (Linux), `sntp -sS time.apple.com` (macOS), "
        "`w32tm /resync` (Windows)"
    )
    return Check("clock", "fail" if signs else "warn", said, todo, facts)
