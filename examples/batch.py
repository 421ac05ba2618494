"""Every request of in.jsonl, at the pace that the vendors allow: answers to stdout, failures to stderr."""

import json
import sys
from pathlib import Path

from llmswitch import Client

with Client() as client, Path(__file__).with_name("in.jsonl").open(encoding="utf-8") as lines:
    for result in client.batch((json.loads(line) for line in lines), concurrency=8, max_tokens=100):
        if result.reply is None:
            print(f"{result.id}: {result.error}", file=sys.stderr)
        else:
            print(json.dumps({"id": result.id, "text": result.reply.text, "provider": result.reply.provider}))
