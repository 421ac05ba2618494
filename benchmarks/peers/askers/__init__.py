"""
One module for each library that is asked; `python -m benchmarks.peers.worker MODULE` runs it, where it is installed.

Each has `DISTRIBUTIONS`, whose versions are told; `SETTINGS`, what it is given and by which documentation; and `Asker`.
"""
