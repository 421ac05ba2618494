"""
Front doors: what a client of another API sends is asked of the chain, and answered in the words of that API.

A door is a translation and holds no policy. It does no I/O, so what lies beneath the SDKs and the gateway share it.
"""

from __future__ import annotations

from ._door import Asked, Door, EventWriter, Refusal
from ._envelope import Envelopes

__all__ = ["Asked", "Door", "Envelopes", "EventWriter", "Refusal"]
