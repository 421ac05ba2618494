"""What llmswitch costs beside raw httpx and its peers: CPU, memory, import. `python -m benchmarks.speed`."""
