"""Scheduled tasks of huey with SQLite, each of which inserts a row and syncs it to disk.

Usage: python -m benchmarks.peers.huey_jobs FOLDER runs the consumer until it is terminated.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

from huey import SqliteHuey  # type: ignore[import-untyped]  # ships no types
from huey.api import TaskWrapper  # type: ignore[import-untyped]

# As many tasks at once as Fenchel runs jobs. Of 1, 4 and 8 threads, 2 and 4 processes the fastest.
WORKER_COUNT = 8
# The shortest that huey takes: it looks for due tasks once a second.
_SCHEDULER_SECONDS = 1
_LOCK_SECONDS_MAX = 30.0


def open_marks(folder: Path) -> sqlite3.Connection:
    """The rows that tasks have written; made if need be."""
    connection = sqlite3.connect(folder / "marks.sqlite", timeout=_LOCK_SECONDS_MAX)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS marks (number INTEGER PRIMARY KEY, time REAL)")
    return connection


def open_queue(folder: Path) -> tuple[Any, TaskWrapper]:
    """The queue, as durable as Fenchel's, and its task `mark`."""
    # Results of tasks are not asked for.
    queue = SqliteHuey(filename=str(folder / "queue.sqlite"), fsync=True, results=False)
    connections = threading.local()

    @queue.task()  # type: ignore[untyped-decorator]
    def mark(number: int) -> None:
        connection = getattr(connections, "marks", None)
        if connection is None:
            connection = connections.marks = open_marks(folder)
        with connection:
            connection.execute("INSERT INTO marks VALUES (?, ?)", (number, time.time()))

    return queue, mark


def run_consumer(folder: Path) -> None:
    """Until SIGTERM."""
    queue, _ = open_queue(folder)
    queue.create_consumer(
        workers=WORKER_COUNT,
        worker_type="thread",
        periodic=False,
        initial_delay=0.01,
        max_delay=0.1,
        scheduler_interval=_SCHEDULER_SECONDS,
    ).run()


if __name__ == "__main__":
    # huey knows a task by its module, which is not called `__main__` where tasks are scheduled.
    from benchmarks.peers import huey_jobs

    huey_jobs.run_consumer(Path(sys.argv[1]))
