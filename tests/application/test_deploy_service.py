"""Pushes from start to finish: what becomes visible, and when (deploy-protocol 2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from fenchel.application import (
    EnvironmentChange,
    StartPushRequest,
)
from fenchel.application.deploy_messages import PushModule
from fenchel.errors import FenchelError
from fenchel.isolate import BundleInputs
from fenchel.model import (
    decode_source_package,
    get_source_package,
    list_auth_providers,
    list_modules,
)
from fenchel.persistence import MemoryPersistence
from fenchel.udf import JsError
from fenchel.values import Value
from tests.application.fakes import (
    Backend,
    admin,
    call,
    running_backend,
)
from tests.application.golden import golden_push
from tests.application.pushes import (
    echo,
    finish,
    functions,
    push,
    schema_json,
    wait,
    with_modules,
)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(functions(), is_started=True) as backend:
        yield backend


async def deployed_paths(backend: Backend) -> list[str]:
    return [module.path for module in await list_modules(backend.database.begin())]


async def test_the_start_of_a_push_answers_what_code_generation_needs(backend: Backend) -> None:
    start = echo(await backend.application.deploy.start_push(golden_push()))
    analysis = start["analysis"][""]
    assert analysis["definition"] == {
        "path": "",
        "definitionType": {"type": "app"},
        "childComponents": [],
        "httpMounts": {},
        "exports": {"type": "branch", "branch": []},
    }
    assert analysis["functions"]["messages.js"]["functions"][0]["name"] == "list"
    assert analysis["udfConfig"]["serverVersion"] == "1.48.0"
    assert analysis["schema"]["tables"][0]["indexes"] == [
        {"indexDescriptor": "by_field", "fields": ["body", "_creationTime"]}
    ]
    assert start["environmentVariables"] == {}
    assert start["externalDepsId"] is None
    assert start["app"]["componentPath"] == ""
    diff = start["schemaChange"]["indexDiffs"][""]
    assert [index["name"] for index in diff["added_indexes"]] == ["messages.by_field"]


async def test_nothing_is_deployed_before_the_finish(backend: Backend) -> None:
    before = await deployed_paths(backend)
    start = await backend.application.deploy.start_push(golden_push())
    await wait(backend, start)
    assert await deployed_paths(backend) == before
    assert await get_source_package(backend.database.begin()) is None
    await finish(backend, start)
    assert await deployed_paths(backend) == [
        "_deps/47RZHIKR.js",
        "_deps/YXZPQVQX.js",
        "auth.config.js",
        "counters.js",
        "messages.js",
        "settings.js",
    ]


async def test_the_finish_tells_what_changed(backend: Backend) -> None:
    response = await push(backend)
    diff = response["componentDiffs"][""]
    assert diff["diffType"] == {"type": "create"}
    assert "messages.js" in diff["moduleDiff"]["added"]
    assert diff["udfConfigDiff"] == {"previous_version": "", "next_version": "1.48.0"}
    assert [index["name"] for index in diff["indexDiff"]["added_indexes"]] == ["messages.by_field"]
    again = (await push(backend))["componentDiffs"][""]
    assert again["diffType"] == {"type": "modify"}
    assert again["moduleDiff"] == {"added": [], "removed": []}
    assert again["udfConfigDiff"] is None
    assert again["schemaDiff"] is None


async def test_the_code_is_warm_before_it_is_deployed(backend: Backend) -> None:
    paths_when_warmed: list[list[str]] = []

    async def warm(code: Any) -> None:
        paths_when_warmed.append(await deployed_paths(backend))
        package = code.package_digest, code.environment_variables["CONVEX_CLOUD_URL"]
        assert package[1] == "http://127.0.0.1:3210"

    backend.runner.warm = warm  # type: ignore[method-assign]
    await push(backend)
    assert paths_when_warmed == [["app.js"]]


async def test_functions_are_looked_up_again_once_the_code_is_deployed(backend: Backend) -> None:
    paths_when_renewed: list[list[str]] = []

    async def renew_lookups() -> None:
        paths_when_renewed.append(await deployed_paths(backend))

    backend.runner.renew_lookups = renew_lookups  # type: ignore[method-assign]
    await push(backend)
    (paths,) = paths_when_renewed
    assert "messages.js" in paths


async def test_the_deployed_code_is_warm_after_a_restart() -> None:
    persistence = MemoryPersistence()
    async with running_backend(functions(), persistence=persistence, is_started=True) as backend:
        await push(backend)
        deployed = backend.runner.warmed[-1]
    runner = functions()
    async with running_backend(runner, persistence=persistence, is_started=True):
        assert runner.warmed == [deployed]


async def test_config_hashes_let_the_cli_leave_modules_out(backend: Backend) -> None:
    empty = await backend.application.deploy.config_hashes()
    assert empty.udf_server_version is None
    await push(backend)
    hashes = await backend.application.deploy.config_hashes()
    assert hashes.config == {"functions": "convex/"}
    assert hashes.udf_server_version == "1.48.0"
    unchanged = [
        {"path": m.path, "environment": m.environment, "sha256": m.hash}
        for m in hashes.module_hashes
    ]
    request = golden_push()
    only_hashes = msgspec.to_builtins(request)
    only_hashes["appDefinition"]["changedModules"] = []
    only_hashes["appDefinition"]["unchangedModuleHashes"] = unchanged
    response = await push(backend, msgspec.convert(only_hashes, StartPushRequest))
    assert response["componentDiffs"][""]["moduleDiff"] == {"added": [], "removed": []}


async def test_modules_that_a_push_does_not_name_are_removed(backend: Backend) -> None:
    await push(backend)
    request = golden_push()
    kept = tuple(m for m in request.app_definition.changed_modules if m.path != "settings.js")
    response = await push(backend, with_modules(request, changed_modules=kept))
    assert response["componentDiffs"][""]["moduleDiff"]["removed"] == ["settings.js"]
    assert "settings.js" not in await deployed_paths(backend)


async def test_seed_and_time_of_imports_are_kept_while_the_package_version_stays(
    backend: Backend,
) -> None:
    await push(backend)
    first = backend.runner.warmed[-1]
    await push(backend)
    second = backend.runner.warmed[-1]
    assert second == first
    request = with_modules(golden_push(), udf_server_version="1.49.0")
    await push(backend, request)
    assert backend.runner.warmed[-1].import_seed != first.import_seed


class TestFailures:
    """A failing push leaves the running code untouched; a developer's mistake is a 400."""

    async def check_refused(self, backend: Backend, code: str, *texts: str) -> None:
        before = await deployed_paths(backend)
        with pytest.raises(FenchelError) as caught:
            await backend.application.deploy.start_push(golden_push())
        assert caught.value.is_developer_error
        assert caught.value.code == code
        assert caught.value.message.startswith("Hit an error while pushing:\n")
        assert all(text in caught.value.message for text in texts)
        assert await deployed_paths(backend) == before

    async def test_a_module_that_does_not_load(self, backend: Backend) -> None:
        backend.runner.analysis = JsError(
            message="Failed to analyze messages.js: Uncaught Error: x"
        )
        await self.check_refused(backend, "InvalidModules", "messages.js", "Uncaught Error: x")

    async def test_a_schema_that_does_not_evaluate(self, backend: Backend) -> None:
        backend.runner.schema_json = JsError(message="Uncaught TypeError: no")
        await self.check_refused(backend, "InvalidSchema", "Uncaught TypeError: no")

    async def test_a_schema_that_breaks_the_rules(self, backend: Backend) -> None:
        backend.runner.schema_json = schema_json("body", table="_reserved")
        await self.check_refused(backend, "TableNameReserved", "_reserved")

    async def test_an_auth_config_that_is_none(self, backend: Backend) -> None:
        backend.runner.auth_config = lambda _: "{}"
        await self.check_refused(backend, "AuthConfigMissingEnvironmentVariable", "AUTH_DOMAIN")

    async def test_documents_that_do_not_fit_the_schema(self, backend: Backend) -> None:
        await backend.mutate("insert", {"body": 1.0})
        start = await backend.application.deploy.start_push(golden_push())
        status = await wait(backend, start)
        assert status["type"] == "failed"
        assert status["tableName"] == "messages"
        assert status["componentPath"] == ""
        assert "messages" in status["error"]
        with pytest.raises(FenchelError, match="SchemaAlreadyFailed"):
            await finish(backend, start)
        assert await deployed_paths(backend) == ["app.js"]

    async def test_an_environment_that_changed_meanwhile(self, backend: Backend) -> None:
        start = await backend.application.deploy.start_push(golden_push())
        await wait(backend, start)
        change = EnvironmentChange(name="COLOR", value="red")
        await backend.application.environment.update([change])
        with pytest.raises(FenchelError, match="RaceDetected"):
            await finish(backend, start)
        assert await deployed_paths(backend) == ["app.js"]

    async def test_a_push_that_another_one_overtook(self, backend: Backend) -> None:
        first = await backend.application.deploy.start_push(golden_push())
        backend.runner.schema_json = schema_json("body", "author")
        schema = PushModule(path="schema.js", source="another schema")
        second = await backend.application.deploy.start_push(
            with_modules(golden_push(), schema=schema)
        )
        assert (await wait(backend, first))["type"] == "raceDetected"
        with pytest.raises(FenchelError, match="SchemaAlreadyOverwritten"):
            await finish(backend, first)
        assert await wait(backend, second) == {"type": "complete"}

    async def test_an_echo_of_no_push(self, backend: Backend) -> None:
        start = await backend.application.deploy.start_push(golden_push())
        await wait(backend, start)
        forged = msgspec.structs.replace(start, push_token="0" * 32)
        with pytest.raises(FenchelError, match="UnknownPush"):
            await finish(backend, forged)

    async def test_a_finished_push_cannot_be_finished_again(self, backend: Backend) -> None:
        start = await backend.application.deploy.start_push(golden_push())
        await wait(backend, start)
        await finish(backend, start)
        with pytest.raises(FenchelError, match="UnknownPush"):
            await finish(backend, start)

    async def test_a_long_message(self, backend: Backend) -> None:
        start = await backend.application.deploy.start_push(golden_push())
        with pytest.raises(FenchelError, match="PushMessageTooLong"):
            await finish(backend, start, message="x" * 1_025)


async def test_a_dry_run_changes_nothing(backend: Backend) -> None:
    start = await backend.application.deploy.start_push(
        msgspec.structs.replace(golden_push(), dry_run=True)
    )
    assert echo(start)["schemaChange"]["indexDiffs"][""]["added_indexes"]
    assert await wait(backend, start, dryRun=True) == {"type": "complete"}
    response = await finish(backend, start, dryRun=True)
    assert response["componentDiffs"] == {}
    assert await deployed_paths(backend) == ["app.js"]


async def test_evaluate_push_writes_nothing(backend: Backend) -> None:
    before = backend.application.latest_ts()
    response = await backend.application.deploy.evaluate_push(golden_push())
    added = response.schema_change["indexDiffs"][""]["added_indexes"]
    assert [index["name"] for index in added] == ["messages.by_field"]
    assert backend.application.latest_ts() == before


async def test_evaluate_schema_is_the_accepted_minimum(backend: Backend) -> None:
    response = await backend.application.deploy.evaluate_schema(golden_push())
    assert msgspec.json.decode(msgspec.json.encode(response)) == {
        "componentSchemaEvaluations": {},
        "newComponentDefinitions": [],
    }


async def test_waiting_ends_with_the_time(backend: Backend) -> None:
    async with running_backend(functions()) as idle:
        start = await idle.application.deploy.start_push(golden_push())
        assert await wait(idle, start, timeoutMs=0) == {
            "type": "inProgress",
            "components": {
                "": {"schemaValidationComplete": False, "indexesComplete": 0, "indexesTotal": 1}
            },
        }


async def test_auth_providers_are_deployed(backend: Backend) -> None:
    backend.runner.auth_config = auth_config_from("AUTH_DOMAIN")
    await backend.application.environment.update(
        [EnvironmentChange(name="AUTH_DOMAIN", value="https://one.example")]
    )
    response = await push(backend)
    assert len(response["authDiff"]["added"]) == 1
    assert [p.domain for p in await backend.application.auth_providers()] == [  # type: ignore[union-attr]
        "https://one.example"
    ]


def auth_config_from(variable: str) -> Callable[[BundleInputs], str | JsError]:
    def evaluate(inputs: BundleInputs) -> str:
        provider = {"applicationID": "app", "domain": inputs.environment_variables.get(variable)}
        fields = {name: value for name, value in provider.items() if value is not None}
        return msgspec.json.encode({"providers": [fields]}).decode()

    return evaluate


class TestEnvironment:
    """Changing variables (deploy-protocol 3.3)."""

    async def read(self, backend: Backend) -> Value:
        identity = admin()
        module = "_system/cli/queryEnvironmentVariables"
        return await backend.query("default", module=module, identity=identity)

    async def test_all_changes_or_none(self, backend: Backend) -> None:
        good = EnvironmentChange(name="A", value="1")
        with pytest.raises(FenchelError, match="EnvironmentVariableNameInvalid"):
            await backend.application.environment.update(
                [good, EnvironmentChange(name="1", value="x")]
            )
        assert await self.read(backend) == []
        await backend.application.environment.update([good])
        found = await self.read(backend)
        assert isinstance(found, list)
        assert isinstance(found[0], dict)
        assert (found[0]["name"], found[0]["value"]) == ("A", "1")
        await backend.application.environment.update([EnvironmentChange(name="A", value=None)])
        assert await self.read(backend) == []

    async def test_the_auth_config_follows_the_variables(self, backend: Backend) -> None:
        backend.runner.auth_config = auth_config_from("AUTH_DOMAIN")
        for domain in ("https://one.example", "https://two.example"):
            change = EnvironmentChange(name="AUTH_DOMAIN", value=domain)
            await backend.application.environment.update([change])
            if domain.startswith("https://one"):
                await push(backend)
        providers = await list_auth_providers(backend.database.begin())
        assert [p.domain for p in providers] == ["https://two.example"]  # type: ignore[union-attr]

    async def test_the_code_is_warm_before_a_change_is_seen(self, backend: Backend) -> None:
        await push(backend)
        await backend.application.environment.update([EnvironmentChange(name="A", value="1")])
        code = backend.runner.warmed[-1]
        assert code.environment_variables["A"] == "1"
        assert code.package_digest == backend.runner.warmed[0].package_digest

    async def test_a_change_that_breaks_the_auth_config_is_refused(self, backend: Backend) -> None:
        backend.runner.auth_config = auth_config_from("AUTH_DOMAIN")
        change = EnvironmentChange(name="AUTH_DOMAIN", value="https://one.example")
        await backend.application.environment.update([change])
        await push(backend)
        with pytest.raises(FenchelError, match="AuthConfigMissingEnvironmentVariable"):
            await backend.application.environment.update([replace_value(change, None)])
        found = await self.read(backend)
        assert isinstance(found, list)
        assert len(found) == 1


def replace_value(change: EnvironmentChange, value: str | None) -> EnvironmentChange:
    return msgspec.structs.replace(change, value=value)


async def test_an_abandoned_push_is_adopted_by_the_next(backend: Backend) -> None:
    """Code generation starts pushes that it never finishes (deploy-protocol 2.1)."""
    await backend.application.deploy.start_push(golden_push())
    await push(backend)
    assert "messages.js" in await deployed_paths(backend)
    failure = await backend.application.run_mutation(call("insert", {"body": 1.0}))
    assert not failure.result.is_success


async def test_concurrent_pushes_leave_one_of_them_deployed(backend: Backend) -> None:
    """The rows of a push are never mixed with those of another."""
    request = golden_push()
    kept = tuple(m for m in request.app_definition.changed_modules if m.path != "settings.js")
    small = with_modules(request, changed_modules=kept)
    starts = [await backend.application.deploy.start_push(r) for r in (request, small)]
    for start in starts:
        await wait(backend, start)
    await asyncio.gather(*(finish(backend, start) for start in starts))
    deployed = await deployed_paths(backend)
    package = await get_source_package(backend.database.begin())
    assert package is not None
    content = await backend.file_storage.load(package[1].storage_key)
    assert [m.path for m in decode_source_package(content)] == deployed
