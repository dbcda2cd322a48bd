"""Functions of a deployed app, end to end: real workers, real database, code as the CLI bundles
it.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from msgspec.structs import replace

from fenchel.auth.identity import Unknown, User, UserIdentity
from fenchel.function_runner import AllowedVisibility
from fenchel.udf import FunctionResult, JsError, LogLine, UdfOutcome, UdfType
from tests.function_runner.harness import UNIX_MS, App, bundled_app, deploy

pytestmark = pytest.mark.asyncio(loop_scope="module")


def value_of(outcome: UdfOutcome) -> Any:
    assert isinstance(outcome.result, FunctionResult), outcome.result
    return json.loads(outcome.result.value_json)


def error_of(outcome: UdfOutcome) -> JsError:
    assert isinstance(outcome.result, JsError), outcome.result
    return outcome.result


def texts(lines: tuple[LogLine, ...] | list[LogLine]) -> list[str]:
    return [line.pretty for line in lines]


async def send(app: App, body: str, author: str = "a") -> str:
    id: str = value_of(await app.mutation("messages:send", {"author": author, "body": body}))
    return id


class TestDatabase:
    async def test_a_query_sees_what_a_mutation_wrote(self, app: App) -> None:
        await send(app, "first")
        rows = value_of(await app.query("messages:list", {"limit": 1}))
        assert rows == [{"author": "a", "body": "first"}]

    async def test_patch_replace_delete_are_seen_by_the_mutation_itself(self, app: App) -> None:
        id = await send(app, "to edit")
        assert value_of(await app.mutation("messages:edit", {"id": id})) == {
            "patched": "edited",
            "fields": ["_creationTime", "_id", "author", "body"],
            "replaced": "replaced",
            "missing": None,
        }

    async def test_a_stream_that_is_left_early_depends_on_what_it_read_only(self, app: App) -> None:
        for body in ("1", "2", "3", "4"):
            await send(app, body)
        request = app.request(UdfType.QUERY, "messages:firstTwoOf")
        transaction = app.database.begin()
        outcome = await app.runner.run_udf(request, transaction, app.host)
        assert len(value_of(outcome)) == 2
        token = app.database.token(transaction)
        await send(app, "behind what was read")
        assert app.database.refresh(token, app.database.latest_ts()) is not None

    async def test_a_query_is_invalidated_by_what_it_would_have_read(self, app: App) -> None:
        request = app.request(UdfType.QUERY, "messages:list")
        transaction = app.database.begin()
        await app.runner.run_udf(request, transaction, app.host)
        token = app.database.token(transaction)
        await send(app, "new")
        assert app.database.refresh(token, app.database.latest_ts()) is None

    async def test_pages_follow_each_other_and_end(self, app: App) -> None:
        cursor, bodies, journals = None, [], set()
        for _ in range(100):
            options = {"numItems": 2, "cursor": cursor}
            outcome = await app.query("messages:page", {"paginationOpts": options})
            page = value_of(outcome)
            bodies += [row["body"] for row in page["page"]]
            journals.add(outcome.journal.end_cursor)
            cursor = page["continueCursor"]
            assert outcome.journal.end_cursor == cursor
            if page["isDone"]:
                break
        everything = value_of(await app.query("messages:list", {"limit": 1000}))
        assert sorted(bodies) == sorted(row["body"] for row in everything)

    async def test_the_own_journal_repeats_the_page_although_rows_came(self, app: App) -> None:
        args = {"paginationOpts": {"numItems": 2, "cursor": None}}
        first = await app.query("messages:page", args)
        again = await app.query("messages:page", args, journal=first.journal.end_cursor)
        assert again.result == first.result
        assert again.journal == first.journal

    async def test_a_bad_cursor_is_an_error_that_clients_reset_on(self, app: App) -> None:
        options = {"numItems": 2, "cursor": "nonsense"}
        error = error_of(await app.query("messages:page", {"paginationOpts": options}))
        assert "Failed to parse cursor" in error.message

    async def test_normalize_id_accepts_ids_of_its_table_only(self, app: App) -> None:
        id = await send(app, "x")
        assert value_of(await app.query("messages:ids", {"id": id})) == id
        assert value_of(await app.query("messages:ids", {"id": "nonsense"})) is None

    async def test_a_query_cannot_write_even_if_it_tries(self, app: App) -> None:
        error = error_of(await app.query("hostile:writeInQuery"))
        assert "only available in mutations" in error.message


class TestValidation:
    """Order and texts of execution 1.6."""

    @pytest.mark.parametrize("path", ["messages:nothing", "nowhere:list", "messages:secret"])
    async def test_missing_and_internal_functions_look_the_same(self, app: App, path: str) -> None:
        message = error_of(await app.query(path)).message
        assert message == f"Could not find public function for '{path}'."

    async def test_an_internal_function_runs_for_those_who_may(self, app: App) -> None:
        request = app.request(UdfType.QUERY, "messages:secret")
        outcome = await app.runner.run_udf(
            request, app.database.begin(), app.host, visibility=AllowedVisibility.ALL
        )
        assert value_of(outcome) == "hidden"

    async def test_the_type_must_fit(self, app: App) -> None:
        assert error_of(await app.query("messages:send")).message == (
            "Trying to execute messages.js:send as Query, but it is defined as Mutation."
        )

    async def test_arguments_are_checked(self, app: App) -> None:
        error = error_of(await app.mutation("messages:send", {"author": 1, "body": ""}))
        assert error.message.startswith("ArgumentValidationError: Value does not match validator.")

    @pytest.mark.parametrize("args", ["[]", "[1]", "[{},{}]", "[{", '[{"a":NaN}]', '[{"$a":1}]'])
    async def test_arguments_must_be_one_object(self, app: App, args: str) -> None:
        request = replace(app.request(UdfType.QUERY, "messages:list"), args_json=args)
        outcome = await app.runner.run_udf(request, app.database.begin(), app.host)
        assert error_of(outcome).message.startswith("Invalid arguments for messages.js:list: ")

    async def test_too_large_arguments_are_refused(self, app: App) -> None:
        args = {"author": "a", "body": "x" * (16 * 2**20)}
        assert error_of(await app.mutation("messages:send", args)).message == (
            "Arguments for messages.js:send are too large (actual: 16 MiB, limit: 16 MiB)"
        )

    async def test_a_result_that_breaks_its_validator_is_an_error(self, app: App) -> None:
        error = error_of(await app.mutation("messages:badReturn"))
        assert error.message.startswith("ReturnsValidationError: Value does not match validator.")


class TestErrors:
    async def test_a_convex_error_keeps_its_data_and_its_log(self, app: App) -> None:
        outcome = await app.query("messages:fail")
        error = error_of(outcome)
        assert error.data_json == '{"code":{"$integer":"BwAAAAAAAAA="}}'
        assert texts(outcome.log_lines) == ["[LOG] 'about to fail' {\n  a: 1\n}"]

    async def test_frames_lead_to_the_source(self, app: App) -> None:
        error = error_of(await app.query("messages:plainError"))
        assert error.message == "Uncaught Error: broken"
        assert "(../convex/messages.ts:" in error.frames[0].text

    async def test_a_promise_that_never_resolves(self, app: App) -> None:
        message = error_of(await app.query("hostile:never")).message
        assert message == "Returned promise will never resolve"

    async def test_an_unknown_operation_is_named(self, app: App) -> None:
        message = error_of(await app.query("hostile:unknownSyscall")).message
        assert "Unknown async operation 1.0/nonsense" in message


class TestDeterminism:
    async def test_the_same_request_gives_the_same_outcome(self, app: App) -> None:
        request = app.request(UdfType.QUERY, "messages:clockAndDice")
        first, second = [
            await app.runner.run_udf(request, app.database.begin(), app.host) for _ in range(2)
        ]
        assert value_of(first) == value_of(second)
        assert value_of(first)["now"] == UNIX_MS

    async def test_another_seed_gives_other_dice(self, app: App) -> None:
        first = value_of(await app.query("messages:clockAndDice"))
        assert first["dice"] != value_of(await app.query("messages:clockAndDice"))["dice"]

    async def test_what_was_observed_is_told(self, app: App) -> None:
        plain = await app.query("messages:list")
        observed = (plain.observed_time, plain.observed_randomness, plain.observed_identity)
        assert observed == (False, False, False)
        observing = await app.query("messages:clockAndDice")
        assert (observing.observed_time, observing.observed_randomness) == (True, True)
        assert (await app.query("messages:whoAmI")).observed_identity

    async def test_nothing_is_left_behind(self, app: App) -> None:
        assert [value_of(await app.query("hostile:leftBehind")) for _ in range(3)] == [1, 1, 1]

    async def test_a_variable_that_was_read_invalidates_and_others_do_not(self, app: App) -> None:
        request = app.request(UdfType.QUERY, "messages:readEnvironment")
        transaction = app.database.begin()
        assert value_of(await app.runner.run_udf(request, transaction, app.host)) is None
        token = app.database.token(transaction)
        await app.set_variable("OTHER", "1")
        assert app.database.refresh(token, app.database.latest_ts()) is not None
        await app.set_variable("GREETING", "hello")
        assert app.database.refresh(token, app.database.latest_ts()) is None
        assert value_of(await app.query("messages:readEnvironment")) == "hello"


class TestIdentity:
    async def test_a_user_sees_who_they_are(self, app: App) -> None:
        attributes = {"tokenIdentifier": "i|s", "issuer": "i", "subject": "s"}
        user = User(UserIdentity(attributes=attributes, expires_ns=None))
        assert value_of(await app.query("messages:whoAmI", identity=user)) == attributes

    async def test_a_refused_token_is_an_error_only_when_looked_at(self, app: App) -> None:
        identity = Unknown(code="InvalidAuthHeader", message="Bad token")
        assert (
            "Bad token" in error_of(await app.query("messages:whoAmI", identity=identity)).message
        )
        assert isinstance(
            (await app.query("messages:list", identity=identity)).result, FunctionResult
        )


class TestNested:
    """Execution 6.9."""

    async def test_a_failed_nested_mutation_is_undone_and_its_caller_goes_on(
        self, app: App
    ) -> None:
        result = value_of(await app.mutation("nested:outer"))
        assert "kept" in result["bodies"]
        assert "undone" not in result["bodies"]
        assert result["caught"].startswith("Uncaught Error: refused\n    at handler")
        bodies = [row["body"] for row in value_of(await app.query("messages:list"))]
        assert "kept" in bodies
        assert "undone" not in bodies

    async def test_what_a_failed_nested_mutation_scheduled_is_not_counted(self, app: App) -> None:
        result = value_of(await app.mutation("nested:scheduleBesideFailure"))
        assert "[2,8]" in result["inner"]
        assert result["outer"] == [1, 4]

    async def test_limits_of_a_nested_call_count_the_whole_transaction(self, app: App) -> None:
        args = {"count": 2, "documentsWritten": 3}
        assert value_of(await app.mutation("nested:addUpTo", args)) is None
        error = error_of(await app.mutation("nested:addUpTo", {**args, "count": 3}))
        assert "Too many writes in a single function execution (limit: 3)" in error.message

    async def test_limits_of_a_nested_call_cannot_be_raised(self, app: App) -> None:
        args = {"count": 1, "documentsWritten": 1e9}
        assert value_of(await app.mutation("nested:addUpTo", args)) is None

    async def test_log_lines_are_in_the_order_of_writing(self, app: App) -> None:
        outcome = await app.mutation("nested:outer")
        assert texts(outcome.log_lines) == [
            "[LOG] 'before'",
            "[LOG] 'adding' 'kept'",
            "[LOG] 'adding' 'undone'",
            "[LOG] 'after'",
        ]
        assert [line.udf_path for line in outcome.log_lines] == [
            None,
            "nested.js:add",
            "nested.js:add",
            None,
        ]

    async def test_what_a_callee_observed_its_caller_observed(self, app: App) -> None:
        outcome = await app.query("nested:observing")
        assert (outcome.observed_time, outcome.observed_randomness) == (True, True)
        assert value_of(outcome)["now"] == UNIX_MS

    async def test_calls_end_at_the_depth_limit(self, app: App) -> None:
        assert value_of(await app.query("nested:deep", {"depth": 8})) == 8
        error = error_of(await app.query("nested:deep", {"depth": 9}))
        assert "Cross component call depth limit exceeded." in error.message


class TestActions:
    async def test_an_action_calls_queries_and_mutations(self, app: App) -> None:
        log: list[LogLine] = []
        outcome = await app.action("messages:greet", {"name": "bob"}, log=log)
        assert value_of(outcome).startswith("string ")
        assert texts(log) == ["[LOG] 'in action'"]
        assert texts(outcome.log_lines) == ["[LOG] 'in action'"]

    async def test_a_failing_callee_is_caught_with_its_data(self, app: App) -> None:
        assert value_of(await app.action("messages:actionFails")) == "7"


class TestPush:
    async def test_a_push_invalidates_what_ran_with_the_old_code(self, app: App) -> None:
        request = app.request(UdfType.QUERY, "messages:list")
        transaction = app.database.begin()
        await app.runner.run_udf(request, transaction, app.host)
        token = app.database.token(transaction)
        changed = tuple(
            dataclasses.replace(module, source=module.source.replace('"hidden"', '"changed"'))
            for module in bundled_app()
        )
        await deploy(app, changed)
        assert app.database.refresh(token, app.database.latest_ts()) is None
        secret = app.request(UdfType.QUERY, "messages:secret")
        outcome = await app.runner.run_udf(
            secret, app.database.begin(), app.host, visibility=AllowedVisibility.ALL
        )
        assert value_of(outcome) == "changed"
        await deploy(app, bundled_app())

    async def test_a_module_that_was_not_pushed_is_not_found(self, app: App) -> None:
        error = error_of(await app.query("missing:list"))
        assert error.message.startswith("Could not find public function")


async def test_metrics_count_what_ran(app: App) -> None:
    await app.query("messages:list")
    count = app.metrics.registry.get_sample_value(
        "fenchel_udf_execute_seconds_count", {"udf_type": "Query", "status": "success"}
    )
    assert count is not None
    assert count >= 1
    workers = app.metrics.registry.get_sample_value("fenchel_isolate_pool_allocated")
    assert workers is not None
    assert workers >= 1
