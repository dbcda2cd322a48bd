"""The process that `test_retention_crash` kills: writers and deletion at full speed.

It prints the counter of a document after each acknowledged commit.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fenchel.database import Database, Retention
from fenchel.errors import ConflictError
from fenchel.persistence import SqlitePersistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings

SETTINGS = Settings(
    database=DatabaseSettings(
        snapshot_retention_seconds=0.0,
        document_retention_seconds=0.0,
        retention_pause_seconds=0.0,
        retention_rows_per_step=5,
    )
)
_DOCUMENTS = 8


async def main(directory: Path) -> None:
    database = await Database.open(SqlitePersistence.open(directory), Runtime(settings=SETTINGS))
    ids = await _documents(database)
    print("ready", flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task((await Retention.load(database)).run(), name="retention")
        for place, id_text in enumerate(ids):
            group.create_task(_count(database, place, id_text), name=f"writer {place}")
        group.create_task(_come_and_go(database), name="inserts and deletes")


async def _documents(database: Database) -> list[str]:
    tx = database.begin()
    scan = {"type": "FullTableScan", "tableName": "counters", "order": None}
    stream = tx.user().open_stream({"source": scan, "operators": []})
    found = []
    while (document := await stream.next()) is not None:
        found.append(document.id_text)
    if found:
        return found
    ids = [await tx.user().insert("counters", {"n": 0.0}) for _ in range(_DOCUMENTS)]
    await database.commit(tx)
    return ids


async def _count(database: Database, place: int, id_text: str) -> None:
    while True:
        tx = database.begin()
        document = await tx.user().get(id_text)
        assert document is not None
        number = document.value["n"]
        assert isinstance(number, float)
        await tx.user().patch(id_text, {"n": number + 1.0})
        await database.commit(tx)
        print(place, number + 1.0, flush=True)


async def _come_and_go(database: Database) -> None:
    while True:
        tx = database.begin()
        id_text = await tx.user().insert("guests", {"n": 1.0})
        try:
            await database.commit(tx)
        except ConflictError:
            continue
        tx = database.begin()
        await tx.user().delete(id_text)
        await database.commit(tx)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
