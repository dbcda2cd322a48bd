"""An app with two instances of a component of its own, deployed by the official CLI."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from convex import ConvexClient
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.components.apps import HERE, wait_for
from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer
from tests.end_to_end.watching_cli import watching

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def app(server: FenchelServer, tmp_path_factory: pytest.TempPathFactory) -> ConvexApp:
    folder: Path = tmp_path_factory.mktemp("components") / "app"
    deployed = ConvexApp.copy(HERE / "app", folder, server=server)
    deployed.deploy()
    return deployed


@pytest.fixture
def client(app: ConvexApp) -> ConvexClient:
    return ConvexClient(app.url)


def entry(account: str, amount: float = 1.0) -> dict[str, Any]:
    return {"account": account, "amount": amount}


def upload(client: ConvexClient, content: bytes) -> str:
    """The id of a file in the component `first`."""
    upload_url = client.mutation("ledgers:uploadUrl")
    with urllib.request.urlopen(upload_url, data=content, timeout=60) as response:
        id: str = json.load(response)["storageId"]
    return id


def run(app: ConvexApp, *arguments: str) -> Any:
    done = app.convex("run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_instances_have_tables_of_their_own(client: ConvexClient) -> None:
    id = client.mutation("ledgers:add", entry("own", 5.0))
    assert client.query("ledgers:totals", {"account": "own"}) == [5.0, 0.0]
    assert client.query("ledgers:getById", {"id": id})["account"] == "own"
    assert "added to own" in client.query("ledgers:notes")


def test_ids_of_another_component_are_strings_that_do_not_fit(client: ConvexClient) -> None:
    with pytest.raises(Exception, match="does not match validator"):
        client.query("ledgers:getById", {"id": "x"})


def test_a_failed_call_into_a_component_is_undone_alone(client: ConvexClient) -> None:
    notes = client.query("ledgers:notes")
    message = client.mutation("ledgers:survive", entry("undone", 7.0))
    assert "no such money" in message
    assert client.query("ledgers:totals", {"account": "undone"}) == [0.0, 7.0]
    assert client.query("ledgers:notes") == notes
    assert client.query("ledgers:jobs", {"account": "undone"}) == [[], [], []]
    assert "before" in client.query("ledgers:remembered")


def test_components_see_no_user_and_only_their_variables(app: ConvexApp) -> None:
    assert app.convex("env", "set", "GREETING", "hello").returncode == 0
    identity = json.dumps({"subject": "me", "issuer": "https://i.test", "tokenIdentifier": "t"})
    seen = run(app, "--identity", identity, "ledgers:whoami")
    assert seen == {
        "app": "me",
        "first": {"subject": None, "word": "hello"},
        "second": {"subject": None, "word": "fixed"},
    }
    assert app.convex("env", "set", "GREETING", "bye").returncode == 0
    assert run(app, "ledgers:whoami")["first"]["word"] == "bye"


def test_an_inline_query_sees_the_tables_of_its_component(
    app: ConvexApp, client: ConvexClient
) -> None:
    client.mutation("ledgers:add", entry("inline", 3.0))
    accounts = '(await ctx.db.query("entries").collect()).map((found) => found.account)'
    assert "inline" in run(app, "--component", "first", "--inline-query", accounts)
    assert "inline" not in run(app, "--component", "second", "--inline-query", accounts)


def test_functions_are_scheduled_inside_and_across_components(client: ConvexClient) -> None:
    client.mutation("ledgers:addLater", entry("later"))
    wait_for(client, "ledgers:totals", lambda found: found == [1.0, 1.0], {"account": "later"})
    assert client.query("ledgers:jobs", {"account": "later"}) == [
        ["entries.js:add"],
        [],
        ["entries.js:addInternally"],
    ]


@pytest.mark.parametrize("is_later", [False, True])
def test_a_component_calls_back_by_a_handle(client: ConvexClient, is_later: bool) -> None:
    account = f"handle {is_later}"
    args = {**entry(account), "isLater": is_later}
    handle = client.mutation("ledgers:addThen", args)
    assert handle == client.mutation("ledgers:addThen", {**args, "account": "other"})
    wait_for(client, "ledgers:remembered", lambda found: f"{account} has 1 more" in found)


def test_actions_call_into_components(client: ConvexClient) -> None:
    assert client.action("ledgers:addFromActions", entry("actions", 3.0)) == [3.0, 3.0]
    assert "by an action" in client.query("ledgers:notes")


def test_instances_have_files_of_their_own(client: ConvexClient) -> None:
    before = client.query("ledgers:countFiles")
    id = upload(client, b"kept in first")
    url, elsewhere = client.query("ledgers:fileUrls", {"id": id})
    assert elsewhere is None
    with urllib.request.urlopen(url, timeout=60) as response:
        assert response.read() == b"kept in first"
    assert client.query("ledgers:countFiles") == [before[0], before[1] + 1.0, before[2]]


def test_every_instance_has_its_cron(client: ConvexClient) -> None:
    wait_for(client, "ledgers:totals", lambda found: found == [1.0, 1.0], {"account": "interest"})


def test_internal_functions_are_not_exported(client: ConvexClient, app: ConvexApp) -> None:
    done = app.convex("run", "ledgers:reachInside")
    assert 'Child component "first" does not export [entries, addInternally]' in done.stderr


def test_the_cli_looks_into_a_component(app: ConvexApp, client: ConvexClient) -> None:
    client.mutation("ledgers:add", entry("cli", 4.0))
    tables = app.convex("data", "--component", "first")
    assert tables.stdout.split() == ["entries"]
    rows = app.convex("data", "entries", "--component", "first")
    assert '"cli"' in rows.stdout
    assert run(app, "--component", "first", "entries:total", '{"account":"cli"}') == 4
    missing = app.convex("data", "--component", "nothing")
    assert "Component 'nothing' not found" in missing.stderr


def test_an_export_restores_components(
    app: ConvexApp, client: ConvexClient, tmp_path: Path
) -> None:
    run(app, "--component", "first/archive", "samples:write")
    id = upload(client, b"kept in first")
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    export = ("export", "--include-file-storage", "--path")
    assert app.convex(*export, str(first)).returncode == 0
    run(app, "--component", "first/archive", "samples:write")

    done = app.convex("import", "--replace-all", "-y", str(first))
    assert "Component first/archive" in done.stderr, done.stderr
    assert run(app, "--component", "first/archive", "samples:count") == 1
    url = client.query("ledgers:fileUrls", {"id": id})[0]
    with urllib.request.urlopen(url, timeout=60) as response:
        assert response.read() == b"kept in first"
    assert app.convex(*export, str(second)).returncode == 0
    assert documents_of(second) == documents_of(first)
    samples = documents_of(first)["_components/first/_components/archive/samples/documents.jsonl"]
    assert b'"integer":-9223372036854775808,' in samples
    assert b'"float":5.0,' in samples


def test_a_file_is_imported_into_a_component(
    app: ConvexApp, client: ConvexClient, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"account": "imported", "amount": 3}\n')
    into_first = ("import", "--component", "first", "--table", "entries", "--append", str(file))
    done = app.convex(*into_first)
    assert done.returncode == 0, done.stderr
    assert client.query("ledgers:totals", {"account": "imported"}) == [3.0, 0.0]


def documents_of(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {
            name: opened.read(name)
            for name in opened.namelist()
            if name.endswith("documents.jsonl")
        }


def test_tokens_name_their_component_and_everybody_can_verify_them(
    app: ConvexApp, client: ConvexClient
) -> None:
    with urllib.request.urlopen(f"{app.url}/.well-known/jwks.json", timeout=60) as response:
        keys = KeySet.import_key_set(json.load(response))
    own, inner = [
        jwt.decode(token, keys, algorithms=["ES256"]).claims
        for token in client.mutation("ledgers:tokens")
    ]
    assert (own["iss"], own["sub"], own["exp"] - own["iat"]) == (app.url, "me", 60)
    assert inner["iss"] == f"{app.url}/components/first"


def test_services_of_convex_are_not_there(client: ConvexClient) -> None:
    assert '"ai-gateway" is managed by Convex' in client.action("ledgers:managedService")


def http(url: str, data: object = None, **headers: str) -> tuple[int, str]:
    """Status and text; a POST if there is data."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("origin", ["site", "api"])
def test_http_actions_of_components_answer_below_their_prefix(
    app: ConvexApp, client: ConvexClient, server: FenchelServer, origin: str
) -> None:
    site = f"http://127.0.0.1:{server.site_port}"
    root = site if origin == "site" else f"{app.url}/http"
    account = f"http {origin}"
    assert http(f"{root}/books/first/entries", entry(account, 4.0)) == (200, "4")
    assert client.query("ledgers:totals", {"account": account}) == [4.0, 0.0]
    client.mutation("ledgers:add", entry(account))
    status, notes = http(f"{root}/books/first/archive/")
    assert (status, f"added to {account}" in json.loads(notes)) == (200, True)
    assert http(f"{root}/books/first/own") == (200, "of the app")

    token = {"Authorization": "Bearer of-the-app"}
    status, seen = http(f"{root}/books/first/whoami/x?y=1", **token)
    assert status == 200
    assert json.loads(seen) == {
        "url": f"{root.removesuffix('/http')}/books/first/whoami/x?y=1",
        "site": f"{site}/books/first",
        "word": json.loads(seen)["word"],
        "user": None,
    }


@pytest.mark.parametrize(
    "path", ["/entries", "/books/first", "/books/first/unknown", "/books/second/entries", "/"]
)
def test_other_paths_have_no_http_action(app: ConvexApp, server: FenchelServer, path: str) -> None:
    status, text = http(f"http://127.0.0.1:{server.site_port}{path}", entry("nobody"))
    assert (status, text) == (404, "No matching routes found")


def test_logs_name_the_component(
    app: ConvexApp, client: ConvexClient, server: FenchelServer
) -> None:
    http(f"http://127.0.0.1:{server.site_port}/books/first/entries", entry("logged"))
    client.mutation("ledgers:addLater", entry("logged later"))
    wait_for(client, "ledgers:totals", lambda found: found[1] == 1.0, {"account": "logged later"})
    with watching(app, "logs", "--history", "1000", "--jsonl", "--success") as logs:
        logs.until('"identifier":"POST /entries"')
        logs.until("\n")
        client.query("ledgers:notes")
        logs.until('"identifier":"ledgers:notes"')
    lines = [json.loads(line) for line in logs.output.splitlines() if line.startswith("{")]
    runs = {(e["componentPath"], e["identifier"], e.get("caller")) for e in lines}
    assert {
        ("first", "POST /entries", "HttpEndpoint"),
        ("first", "POST /entries", None),
        ("first", "entries:addInternally", "Action"),
        ("second", "entries:addInternally", "Scheduler"),
        ("second", "entries:addInternally", "Cron"),
    } <= runs
    (line,) = {
        tuple(message["messages"])
        for e in lines
        if e["identifier"] == "POST /entries"
        for message in e["logLines"]
        if "logged" in message["messages"][0]
    }
    assert line == ("'adding to logged'",)


def test_clients_reach_no_component(app: ConvexApp, client: ConvexClient) -> None:
    with pytest.raises(Exception, match="Could not find public function"):
        client.query("entries:total", {"account": "own"})


def test_a_component_that_a_push_leaves_out_keeps_its_data(
    server: FenchelServer, tmp_path: Path
) -> None:
    app = ConvexApp.copy(HERE / "app", tmp_path / "app", server=server)
    app.deploy()
    client = ConvexClient(app.url)
    client.mutation("ledgers:add", entry("kept", 2.0))
    config = app.folder / "convex/convex.config.ts"
    whole = config.read_text()
    ledgers = (app.folder / "convex/ledgers.ts").read_text()
    config.write_text('import { defineApp } from "convex/server";\nexport default defineApp();\n')
    (app.folder / "convex/ledgers.ts").unlink()
    for folder in ("ledger", "archive"):
        shutil.move(app.folder / "convex" / folder, tmp_path / folder)
    done = app.convex("deploy")
    assert done.returncode == 0, done.stderr
    assert "Unmounted component first." in done.stderr
    gone = app.convex("run", "--component", "first", "entries:total", '{"account":"kept"}')
    assert "Could not find function" in gone.stderr

    for folder in ("ledger", "archive"):
        shutil.move(tmp_path / folder, app.folder / "convex" / folder)
    config.write_text(whole.replace('"first"', '"renamed"'))
    renamed = ledgers.replace("components.first", "components.renamed")
    (app.folder / "convex/ledgers.ts").write_text(renamed)
    app.deploy()
    assert client.query("ledgers:totals", {"account": "kept"})[0] == 0.0

    config.write_text(whole)
    (app.folder / "convex/ledgers.ts").write_text(ledgers)
    upgrade(app.folder / "convex/ledger")
    done = app.convex("deploy")
    assert "Remounted component first." in done.stderr
    assert client.query("ledgers:totals", {"account": "kept"})[0] == 2.0
    assert run(app, "--component", "first", "entries:withAmount", '{"amount":2}') == ["kept"]


def upgrade(component: Path) -> None:
    """A new version: one more index and field, and a function that needs the index."""
    schema = component / "schema.ts"
    schema.write_text(
        schema.read_text()
        .replace("amount: v.number() }", "amount: v.number(), note: v.optional(v.string()) }")
        .replace("]),\n", ']).index("by_amount", ["amount"]),\n', 1)
    )
    entries = component / "entries.ts"
    entries.write_text(
        entries.read_text()
        + """
export const withAmount = query({
  args: { amount: v.number() },
  handler: async (ctx, { amount }): Promise<string[]> => {
    const found = ctx.db.query("entries").withIndex("by_amount", (q) => q.eq("amount", amount));
    return (await found.collect()).map(({ account }) => account);
  },
});
"""
    )


def test_a_variable_that_the_app_declares_must_be_set_and_fit(
    server: FenchelServer, tmp_path: Path
) -> None:
    app = ConvexApp.copy(HERE / "app", tmp_path / "app", server=server)
    config = app.folder / "convex/convex.config.ts"
    config.write_text(
        config.read_text().replace(
            "GREETING: v.optional(v.string())",
            'GREETING: v.optional(v.string()), OTHER: v.union(v.literal("a"), v.literal("b"))',
        )
    )
    done = app.convex("deploy")
    assert done.returncode == 1
    assert "environment variable" in done.stderr.lower(), done.stderr
    assert "OTHER" in done.stderr

    assert app.convex("env", "set", "OTHER", "neither").returncode == 0
    done = app.convex("deploy")
    assert done.returncode == 1
    assert '"OTHER" does not match v.union(v.literal("a"), v.literal("b"))' in done.stderr
    assert "neither" not in done.stderr


def test_a_circle_of_components_is_refused(server: FenchelServer, tmp_path: Path) -> None:
    app = ConvexApp.copy(HERE / "app", tmp_path / "app", server=server)
    (app.folder / "convex/archive/convex.config.ts").write_text(
        'import { defineComponent } from "convex/server";\n'
        'import ledger from "../ledger/convex.config";\n'
        'const archive = defineComponent("archive");\narchive.use(ledger);\n'
        "export default archive;\n"
    )
    done = app.convex("deploy")
    assert done.returncode == 1
    assert "Found cyclic definition dependency" in done.stderr
