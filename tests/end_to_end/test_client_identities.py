"""Admins, admins who act as users, and keys that only read, through the official npm clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from tests.end_to_end.npm_client import NpmClientError, npm_client

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import FenchelServer

Kind = Literal["http", "websocket"]
both_kinds = pytest.mark.parametrize("kind", ["http", "websocket"])
pytestmark = pytest.mark.usefixtures("app")
ADA = {"issuer": "https://accounts.test", "subject": "ada", "name": "Ada", "team": "engines"}


@both_kinds
async def test_an_admin_acts_as_a_user_and_keeps_the_rights_of_an_admin(
    kind: Kind, server: FenchelServer
) -> None:
    async with npm_client(kind, server.url) as client:
        assert await client.query("probe:whoAmI") is None
        with pytest.raises(NpmClientError, match="Could not find public function"):
            await client.query("probe:hidden")
        await client.act_as(server.admin_key(), **ADA)
        assert await client.query("probe:whoAmI") == ADA | {
            "tokenIdentifier": "https://accounts.test|ada"
        }
        assert await client.query("probe:hidden") == "only for insiders"


async def test_live_queries_follow_who_the_client_is(server: FenchelServer) -> None:
    key = server.admin_key()
    async with npm_client("websocket", server.url) as client:
        seen = client.subscribe("probe:whoAmI")
        assert await seen.next() is None
        for name in ("Ada", "Grace"):
            await client.act_as(key, issuer="https://accounts.test", subject=name, name=name)
            assert (await seen.next())["name"] == name


@both_kinds
async def test_a_key_that_only_reads(kind: Kind, server: FenchelServer, topic: str) -> None:
    async with npm_client(kind, server.url) as client:
        await client.act_as(server.issue_key("--read-only"))
        assert await client.query("probe:hidden") == "only for insiders"
        for call in (
            client.mutation("notes:add", topic=topic, body="x"),
            client.action("notes:addByAction", topic=topic, body="x"),
        ):
            with pytest.raises(NpmClientError, match="You do not have permission"):
                await call
        assert await client.query("notes:list", topic=topic) == []


async def test_an_admin_calls_internal_functions_of_any_type(
    server: FenchelServer, topic: str
) -> None:
    async with npm_client("http", server.url) as client:
        with pytest.raises(NpmClientError, match="BadDeployKey"):
            await client.function("notes:clear", topic=topic)
        await client.act_as(server.admin_key())
        await client.function("notes:add", topic=topic, body="x")
        assert await client.function("notes:clear", topic=topic) == 1
        assert await client.function("probe:hidden") == "only for insiders"


async def test_consistent_queries_see_one_snapshot(server: FenchelServer, topic: str) -> None:
    async with npm_client("http", server.url) as client:
        await client.mutation("notes:add", topic=topic, body="before")
        assert await client.consistent_query("notes:list", topic=topic) == ["before"]
        await client.mutation("notes:add", topic=topic, body="after")
        assert await client.consistent_query("notes:list", topic=topic) == ["before"]
        assert await client.query("notes:list", topic=topic) == ["before", "after"]
