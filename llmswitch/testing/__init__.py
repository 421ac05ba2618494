"""
Proof for providers: a suite that every provider passes, those of other packages included.

    # test_acme.py, in the package that ships the provider "acme"
    from llmswitch.testing import ProviderSuite

    class TestAcme(ProviderSuite):
        provider = "acme"

Run it with pytest. It needs no key and no network: the vendor's side of the dialect is played in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmswitch._vendor_wire import Answer, Heard, VendorWire

from ._answers import ANSWERS
from ._conversations import CONVERSATIONS, Conversation
from ._vendor import FakeVendor, cuts
from ._waits import instant_waits

if TYPE_CHECKING:
    from ._suite import ProviderSuite

__all__ = [
    "ANSWERS",
    "CONVERSATIONS",
    "Answer",
    "Conversation",
    "FakeVendor",
    "Heard",
    "ProviderSuite",
    "VendorWire",
    "cuts",
    "instant_waits",
]


def __getattr__(name: str) -> Any:
    """The suite needs pytest; fake vendors, and the outage drill that is played by them, do not."""
    if name == "ProviderSuite":
        from ._suite import ProviderSuite

        return ProviderSuite
    raise AttributeError(name)
