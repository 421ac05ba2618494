"""What failing over costs, measured against raw httpx in the same run."""
