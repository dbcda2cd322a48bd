"""Old rows go, young ones stay."""

from __future__ import annotations

from fenchel.application import SessionRequest
from fenchel.application.cleanup import Cleaner
from fenchel.model import get_session_request
from fenchel.runtime import Runtime
from tests.application.fakes import ManualClock, call, document_functions, running_backend

DAY_SECONDS = 86_400.0


async def test_answers_to_clients_are_forgotten_after_two_weeks() -> None:
    clock = ManualClock()
    runtime = Runtime(clock=clock)
    async with running_backend(document_functions(), runtime=runtime) as backend:
        cleaner = Cleaner(database=backend.database, runtime=runtime)
        insert = call("insert", {"table": "t", "text": "a"})
        await backend.application.run_mutation(insert, session=SessionRequest("s", 0))
        clock.seconds = 13 * DAY_SECONDS
        assert await cleaner.clean() == 0
        clock.seconds = 15 * DAY_SECONDS
        assert await cleaner.clean() == 1
        assert await get_session_request(backend.database.begin(), "s", 0) is None
