"""Runs both clients of the PyPI package `convex` against a server and prints what they got.

Usage: python python_clients.py URL TOPIC ; prints one JSON object. In a process of its own because
the WebSocket client keeps threads of its own that cannot be ended.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from convex import ConvexClient, ConvexError
from convex.http_client import ConvexHttpClient


def calls_with(client: ConvexClient | ConvexHttpClient, topic: str) -> dict[str, Any]:
    """The same calls for both clients."""
    client.mutation("notes:add", {"topic": topic, "body": "first"})
    return {
        "listed": client.query("notes:list", {"topic": topic}),
        "cleared": client.action("notes:clearByAction", {"topic": topic}),
        "left": client.query("notes:list", {"topic": topic}),
        "refused": refusal(client),
        "failed": failure(client),
    }


def refusal(client: ConvexClient | ConvexHttpClient) -> Any:
    try:
        return {"value": client.query("probe:refuse")}
    except ConvexError as error:
        return error.data


def failure(client: ConvexClient | ConvexHttpClient) -> str:
    try:
        return str(client.query("probe:fail"))
    except Exception as error:  # noqa: BLE001 - each client has its own class for it
        return str(error)


def updates_with(client: ConvexClient, topic: str) -> list[Any]:
    """What a subscription yields: before and after a mutation by the same client."""
    updates = client.subscribe("notes:list", {"topic": topic})
    before = next(updates)
    client.mutation("notes:add", {"topic": topic, "body": "live"})
    return [before, next(updates)]


def main() -> None:
    url, topic = sys.argv[1:]
    live = ConvexClient(url)
    results = {
        "http": calls_with(ConvexHttpClient(url), f"{topic}, http"),
        "websocket": calls_with(live, f"{topic}, websocket"),
        "updates": updates_with(live, f"{topic}, live"),
    }
    print(json.dumps(results), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
