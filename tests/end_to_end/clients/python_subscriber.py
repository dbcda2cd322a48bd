"""A client of the PyPI package `convex` with one subscription, driven by lines of JSON.

Usage: python python_subscriber.py URL TOPIC ; `["next"]` prints the next value of `notes:list`,
`["add", BODY]` adds a note and prints null. In a process of its own because the client keeps the
interpreter to itself while it waits.
"""

from __future__ import annotations

import json
import os
import sys

from convex import ConvexClient


def main() -> None:
    url, topic = sys.argv[1:]
    client = ConvexClient(url)
    updates = client.subscribe("notes:list", {"topic": topic})
    for line in sys.stdin:
        op, *rest = json.loads(line)
        if op == "next":
            answer = next(updates)
        else:
            client.mutation("notes:add", {"topic": topic, "body": rest[0]})
            answer = None
        print(json.dumps(answer), flush=True)
    # Its threads cannot be ended.
    os._exit(0)


if __name__ == "__main__":
    main()
