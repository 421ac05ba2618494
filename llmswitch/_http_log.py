"""
What the HTTP libraries log at DEBUG: no bodies and no request headers, but the answer's headers, in which a vendor may
quote the key.
"""

from __future__ import annotations

import logging

from ._scrub import scrub

__all__ = ["scrub_http_logs"]

_LIBRARIES = ("httpcore", "httpcore2")
_PARTS = ("connection", "http11", "http2", "proxy", "socks")


class _Scrubbed(logging.Filter):
    """Lets every record pass, without the keys that this process knows."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001 - a record that can't be put into words is its handler's to complain of
            return True
        record.msg, record.args = scrub(said), ()
        return True


def scrub_http_logs() -> None:
    """From now on the keys are taken out of these lines before any handler has them. To be called once."""
    scrubbed = _Scrubbed()
    for name in ("httpx", "httpx2", *(f"{library}.{part}" for library in _LIBRARIES for part in _PARTS)):
        logging.getLogger(name).addFilter(scrubbed)  # a logger's filter sees that logger's own records alone
