"""Single rows and small tables: udf config, source package, auth providers, session requests."""

from __future__ import annotations

from fenchel.database import Database
from fenchel.definitions import CustomJwtProvider, OidcProvider
from fenchel.model import (
    StoredResult,
    UdfConfig,
    delete_session_requests,
    describe_source_package,
    get_session_request,
    get_source_package,
    get_udf_config,
    list_auth_providers,
    record_audit_entry,
    record_session_request,
    replace_auth_providers,
    replace_source_package,
    set_udf_config,
)
from fenchel.udf import LogLevel, LogLine

CONFIG = UdfConfig(
    server_version="1.48.0",
    import_phase_rng_seed=bytes(range(32)),
    import_phase_unix_timestamp=1_700_000_000_123_456_789,
)
OIDC = OidcProvider(domain="https://a.example", application_id="app")
JWT = CustomJwtProvider(issuer="https://b.example", jwks="data:,{}", algorithm="ES256")


async def test_the_udf_config_is_one_row(database: Database) -> None:
    tx = database.begin()
    assert await get_udf_config(tx) is None
    assert await set_udf_config(tx, CONFIG) is None
    assert await set_udf_config(tx, CONFIG) == CONFIG
    assert await get_udf_config(tx) == CONFIG
    assert CONFIG.import_unix_ms == 1_700_000_000_123


async def test_the_source_package_is_one_row(database: Database) -> None:
    tx = database.begin()
    assert await get_source_package(tx) is None
    first = describe_source_package(b"1", node_version=None)
    first_id = await replace_source_package(tx, first)
    assert await replace_source_package(tx, first) == first_id
    second = describe_source_package(b"2", node_version="22")
    second_id = await replace_source_package(tx, second)
    assert second_id != first_id
    assert await get_source_package(tx) == (second_id, second)


async def test_auth_providers_keep_their_order(database: Database) -> None:
    tx = database.begin()
    diff = await replace_auth_providers(tx, [JWT, OIDC])
    assert len(diff.added) == 2
    assert await list_auth_providers(tx) == [JWT, OIDC]
    diff = await replace_auth_providers(tx, [OIDC])
    assert (diff.added, len(diff.removed)) == ((), 1)
    assert await list_auth_providers(tx) == [OIDC]


async def test_equal_auth_providers_write_nothing(database: Database) -> None:
    tx = database.begin()
    await replace_auth_providers(tx, [OIDC])
    await database.commit(tx)
    tx = database.begin()
    await replace_auth_providers(tx, [OIDC])
    assert tx.is_read_only


async def test_session_requests_keep_result_and_lines(database: Database) -> None:
    line = LogLine(
        level=LogLevel.WARN,
        messages=("a", "b"),
        timestamp_ms=1.5,
        is_truncated=True,
        system_code="warning:X",
        udf_path="m.js:f",
    )
    stored = StoredResult(value_json='{"a":1.0}', log_lines=(line,))
    tx = database.begin()
    await record_session_request(tx, "session", 3, stored)
    await database.commit(tx)
    tx = database.begin()
    assert await get_session_request(tx, "session", 3) == stored
    assert await get_session_request(tx, "session", 4) is None


async def test_old_session_requests_are_deleted(database: Database) -> None:
    tx = database.begin()
    for number in range(3):
        stored = StoredResult(value_json="null", log_lines=())
        await record_session_request(tx, "session", number, stored)
    assert await delete_session_requests(tx, before_ms=1.0, limit=10) == 0
    assert await delete_session_requests(tx, before_ms=1e15, limit=2) == 2
    assert await delete_session_requests(tx, before_ms=1e15, limit=2) == 1


async def test_audit_entries_are_rows(database: Database) -> None:
    tx = database.begin()
    await record_audit_entry(tx, "push_config", {"message": "hello"})
    rows = await tx.system().query("_deployment_audit_log", "by_creation_time")
    assert rows[0].value["metadata"] == {"message": "hello"}
