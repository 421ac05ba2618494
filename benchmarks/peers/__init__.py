"""The same faults for llmswitch and for other libraries that fall back, over real sockets, judged by one judge."""
