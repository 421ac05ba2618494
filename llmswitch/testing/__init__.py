"""
Proof for providers: a suite that every provider passes, those of other packages included.

    # test_acme.py, in the package that ships the provider "acme"
    from llmswitch.testing import ProviderSuite

    class TestAcme(ProviderSuite):
        provider = "acme"

Run it with pytest. It needs no key and no network: the vendor's side of the dialect is played in this process.
`CrossingSuite` takes conversations from it to other providers and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmswitch._vendor_wire import Answer, Heard, VendorWire

from ._answers import ANSWERS
from ._conversations import CONVERSATIONS, Conversation
from ._vendor import FakeVendor, cuts
from ._waits import instant_waits

if TYPE_CHECKING:
    from ._crossing import CrossingSuite, Party, cross
    from ._suite import ProviderSuite

__all__ = [
    "ANSWERS",
    "CONVERSATIONS",
    "Answer",
    "Conversation",
    "CrossingSuite",
    "FakeVendor",
    "Heard",
    "Party",
    "ProviderSuite",
    "VendorWire",
    "cross",
    "cuts",
    "instant_waits",
]


def __getattr__(name: str) -> Any:
    """The suites need pytest; fake vendors, and the outage drill that is played by them, do not."""
    if name == "ProviderSuite":
        from ._suite import ProviderSuite

        return ProviderSuite
    if name in ("CrossingSuite", "Party", "cross"):
        from . import _crossing

        return getattr(_crossing, name)
    raise AttributeError(name)
