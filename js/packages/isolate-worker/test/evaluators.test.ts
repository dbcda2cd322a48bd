import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";

const FOUR_SECONDS = { userTimeoutMs: 4000 };

interface Analyzed {
  functions: {
    name: string;
    udfType: string;
    visibility: unknown;
    args: string;
    returns: string;
    pos: unknown;
  }[];
  httpRoutes: unknown;
  cronSpecs: string | null;
  reuseContext: boolean;
}

describe("evaluators", async () => {
  const { run, result, worker, app } = await setUp(false, {
    env: { AUTH_DOMAIN: "https://id.example.org" },
  });
  const analyze = async (module: string): Promise<Analyzed> => {
    const modules = (await result("analyze", module, {}, undefined, FOUR_SECONDS)) as Record<
      string,
      Analyzed
    >;
    return modules[`${module}.js`] as Analyzed;
  };

  test("functions come with type, visibility, validators and position, in source order", async () => {
    const { functions } = await analyze("messages");
    assert.deepEqual(
      functions.map(({ name, udfType, visibility }) => [name, udfType, visibility]),
      [
        ["list", "Query", { kind: "public" }],
        ["send", "Mutation", { kind: "public" }],
        ["sweep", "Mutation", { kind: "internal" }],
      ],
    );
    assert.deepEqual(JSON.parse(functions[0]?.args ?? ""), {
      type: "object",
      value: { channel: { fieldType: { type: "string" }, optional: false } },
    });
    assert.deepEqual(
      functions.map(({ returns }) => returns),
      ["null", '{"type":"string"}', "null"],
    );
    assert.deepEqual(functions[0]?.pos, { path: "messages.js", start_lineno: 6, start_col: 12 });
  });

  test("routes, crons and context reuse", async () => {
    assert.deepEqual((await analyze("http")).httpRoutes, [
      { path: "/hello", method: "GET" },
      { path: "/files/*", method: "POST" },
    ]);
    assert.deepEqual(JSON.parse((await analyze("crons")).cronSpecs ?? ""), {
      "sweep often": {
        name: "messages:sweep",
        args: [{}],
        schedule: { minutes: 5, type: "interval" },
      },
    });
    assert.equal((await analyze("reused")).reuseContext, true);
  });

  test("a module that fails is named, with its frames and its console lines", async () => {
    const { header } = await run("analyze", "broken", {}, undefined, FOUR_SECONDS);
    assert.equal(header.kind, "error");
    assert.match(
      header.error?.message ?? "",
      /^Failed to analyze broken\.js: Uncaught SyntaxError: .*\n\n\[LOG\] 'so far' 'so good'$/s,
    );
    assert.match(header.error?.frames.join("\n") ?? "", /broken\.ts:4:\d+/);
  });

  test("all modules at once stop at the first that fails", async () => {
    assert.equal((await run("analyze", "", {}, undefined, FOUR_SECONDS)).header.kind, "error");
  });

  test("schema, auth config and app definition", async () => {
    const schema = (await result("schema", "schema", {}, undefined, FOUR_SECONDS)) as {
      tables: { tableName: string }[];
    };
    assert.equal(schema.tables[0]?.tableName, "messages");
    const auth = await run("authConfig", "auth.config", {}, undefined, FOUR_SECONDS);
    assert.deepEqual(JSON.parse(auth.result), {
      providers: [{ domain: "https://id.example.org", applicationID: "convex" }],
    });
    assert.deepEqual(auth.header.envRead, ["AUTH_DOMAIN"]);
    assert.deepEqual(await result("appDefinition", "convex.config", {}, undefined, FOUR_SECONDS), {
      definitionType: { type: "app" },
      childComponents: [],
      httpMounts: {},
      exports: { type: "branch", branch: [] },
    });
  });

  test("an endless import is stopped", async () => {
    const endless = {
      ...app,
      script: 'globalThis.__fenchelModules = {"a.js": () => { for (;;); }};',
      modules: ["a.js"],
    };
    const bundle = await worker.load(endless);
    const { header } = await worker.runToLimit(bundle, "analyze", "a", 100);
    assert.equal(header.kind, "timeout");
  });
});
