"""
HTTP/1.1 on the library's own sockets: as much of a client as a chat needs, parsed by httptools.

It is the engine `httptools`. There is nothing between a request and its connection but a list of those that are idle,
so nothing can be lost there when a call is cancelled.
"""
