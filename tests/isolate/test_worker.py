"""What a worker keeps loaded, on a scripted one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fenchel.udf import FunctionResult
from tests.isolate.requests import make_request
from tests.isolate.test_worker_pool import BUNDLE, SETTINGS, bench


@pytest.mark.parametrize(("bundles_max", "loads"), [(3, b"3"), (2, b"6")])
async def test_a_worker_keeps_the_code_of_an_app_and_its_components(
    tmp_path: Path, bundles_max: int, loads: bytes
) -> None:
    body = """
loads = 0
while True:
    type, id, _ = receive()
    if type == 1:
        loads += 1
        send(66, id, {"ok": True})
    elif type == 3:
        outcome(id, str(loads).encode())
"""
    settings = dataclasses.replace(SETTINGS, bundles_per_worker_max=bundles_max)
    async with bench(tmp_path, body, settings) as b:
        for key in ("app", "one", "two", "app", "one", "two"):
            bundle = dataclasses.replace(BUNDLE, key=key)
            outcome = await b.pool.run_udf(bundle, make_request(), b.database.begin(), b.host)
        assert outcome.result == FunctionResult(loads.decode())
