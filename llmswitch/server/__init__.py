"""
The gateway: the front doors over HTTP, in front of the chains of one configuration.

It needs the extra `server`; nothing here is imported by the library.
"""
