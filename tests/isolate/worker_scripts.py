"""Programs that stand in for the worker process: each misbehaves in one way."""

import sys
from pathlib import Path

PRELUDE = """
import json, os, socket, struct, sys, time
channel, sync = socket.socket(fileno=3), socket.socket(fileno=4)
def frame(type, id, *fields):
    body = struct.pack("<BI", type, id) + b"".join(struct.pack("<I", len(f)) + f for f in fields)
    return struct.pack("<I", len(body)) + body
def send(type, id, *fields):
    channel.sendall(frame(type, id, *[f if isinstance(f, bytes) else json.dumps(f).encode()
                                      for f in fields]))
def read(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data
def receive(connection=channel):
    body = read(connection, struct.unpack("<I", read(connection, 4))[0])
    fields, position = [], 5
    while position < len(body):
        size = struct.unpack_from("<I", body, position)[0]
        fields.append(body[position + 4 : position + 4 + size])
        position += 4 + size
    return body[0], struct.unpack_from("<I", body, 1)[0], fields
def ready():
    send(65, 0, {"protocol": 1, "node": "0", "v8": "0", "runtimeDigest": ""})
def await_execution():
    while True:
        type, id, fields = receive()
        if type == 1:
            send(66, id, {"ok": True})
        elif type == 3:
            return id
def outcome(id, result, **changes):
    header = {"kind": "success", "logLines": [], "observedTime": False, "observedRandomness": False,
              "envRead": [], "consumed": [], "userMs": 0, "heapBytes": 0, "realm": "fresh"}
    send(69, id, {**header, **changes}, result)
"""


def command(folder: Path, body: str) -> tuple[str, ...]:
    """argv of a Python process with the worker's channels that runs `body`."""
    script = folder / f"worker_{abs(hash(body))}.py"
    script.write_text(PRELUDE + body)
    return (sys.executable, "-S", str(script))
