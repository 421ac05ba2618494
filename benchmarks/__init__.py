"""
The figures of llmswitch and of its peers under faults, over real sockets on this machine.

`python -m benchmarks.failover` measures llmswitch against raw httpx; `python -m benchmarks.peers` plays one set of
faults to llmswitch and to other libraries. docs/figures.md and docs/comparison.md hold what came out.
"""
