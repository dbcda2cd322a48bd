// The same random calls on Fenchel, through official clients, and on convex-test in this process.
// Usage: node differential.mjs URL FIRST_SEED SEED_COUNT CALLS_PER_SEED
// Prints one JSON line for each difference, and last {"seeds", "calls", "kinds"}.
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { convexToJson } from "convex/values";
import { convexTest } from "convex-test";
import schema from "./convex/schema.ts";
import { Draw } from "./draw.mjs";
import { keeps } from "./oracle.mjs";

const WAIT_MS_MAX = 20_000;
const SHOWN_BEFORE = 100;
const SHOWN_CHARACTERS = 400;
const QUIET = { logger: false };
// Ids that no call gave back: 32 characters here, a number and the table's name in convex-test.
const ID = /^([0-9a-z]{32}|[0-9]{20,}(loose|strict))$/;
const modules = {
  "./convex/_generated/api.js": async () => ({}),
  "./convex/calls.ts": () => import("./convex/calls.ts"),
  "./convex/typed.ts": () => import("./convex/typed.ts"),
};

/** One of the two backends, with the ids of its documents in the order of their insertion. */
class Side {
  ids = [];

  constructor(run) {
    this.run = run;
  }

  /** What a call gave, without anything that may differ: `{value}` or `{failed, data}`. */
  async call(type, path, args) {
    try {
      return { value: await this.run(type, path, args) };
    } catch (error) {
      return { failed: true, data: error.data ?? null, message: error.message };
    }
  }

  /** Ids become numbers, creation times and job ids words; the text is JSON with all types in it. */
  canonical(value) {
    const names = new Map(this.ids.map((id, index) => [id, `document ${index}`]));
    const walk = (item) => {
      if (typeof item === "string") return names.get(item) ?? (ID.test(item) ? "a document" : item);
      if (Array.isArray(item)) return item.map(walk);
      if (item === null || typeof item !== "object" || item instanceof ArrayBuffer) return item;
      const keys = Object.keys(item).filter((key) => key !== "message" && key !== "_creationTime");
      return Object.fromEntries(keys.sort().map((key) => [walk(key), walk(item[key])]));
    };
    return JSON.stringify(convexToJson(walk(value ?? null)));
  }
}

async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took too long`)), WAIT_MS_MAX);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function pagesOf(side, { step, size, change }) {
  const ids = [...side.ids];
  const pages = [];
  let cursor = null;
  for (let number = 0; number < 100; number++) {
    const options = { numItems: size, cursor };
    const page = await side.call("query", "calls:page", { step, options, ids });
    if (page.failed) return { pages, failed: true };
    pages.push(page.value);
    if (page.value.isDone) break;
    cursor = page.value.continueCursor;
  }
  const rows = pages.flatMap((page) => page.page);
  // A full page that ends with the last document is the end to convex-test, but not to Convex.
  if (rows.length <= size) return { rows };
  // The first page again after a change, now up to where it ended: what came and went shows.
  const changed = await side.call("mutation", "calls:write", { steps: change, ids });
  if (!changed.failed) side.ids = changed.value.ids;
  const options = { numItems: size, cursor: null, endCursor: pages[0].continueCursor };
  const again = await side.call("query", "calls:page", { step, options, ids });
  return { rows, again: again.failed ? null : again.value.page };
}

async function jobDone(side, id) {
  for (const start = Date.now(); Date.now() - start < WAIT_MS_MAX;) {
    const job = await side.call("query", "calls:job", { id });
    if (!["pending", "inProgress"].includes(job.value.state.kind)) return job.value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("a scheduled function did not end");
}

async function runOn(side, call) {
  const ids = side.ids;
  switch (call.kind) {
    case "write":
    case "act": {
      const { kind, ...args } = call;
      const [type, path] = kind === "act" ? ["action", "calls:act"] : ["mutation", "calls:write"];
      const done = await side.call(type, path, { ...args, ids });
      if (!done.failed) side.ids = done.value.ids;
      return done;
    }
    case "read":
      return await side.call("query", "calls:read", { steps: call.steps, ids });
    case "pages":
      return await pagesOf(side, call);
    case "filter": {
      const step = { op: "query", table: "loose", order: call.order, filter: call.filter };
      return (await side.call("query", "calls:read", { steps: [step], ids })).value[0];
    }
    case "schedule": {
      const job = await side.call("mutation", "calls:schedule", {
        steps: call.steps,
        ids,
        cancel: call.cancel,
      });
      return job.failed ? job : { ...(await jobDone(side, job.value)), args: null };
    }
    case "typed":
      return await side.call(
        call.name === "takes" ? "query" : "action",
        `typed:${call.name}`,
        call.value,
      );
    case "returned":
      return await side.call("query", "typed:gives", { value: call.value });
    default:
      return await side.call("query", "calls:echo", { value: call.value, ids });
  }
}

/** What the filter keeps of convex-test's documents, judged by oracle.mjs. */
async function expectFilter(side, call) {
  const { loose } = await side.run("query", "calls:everything", {});
  const documents = call.order === "desc" ? loose.reverse() : loose;
  try {
    return { value: documents.filter((document) => keeps(call.filter, document)) };
  } catch {
    return { failed: true, data: null };
  }
}

/** UNSET means an absent field; arguments of `typed` go to the function as they are. */
function withoutUnset(call) {
  if (call.kind !== "typed" && call.kind !== "returned") return call;
  const present = Object.entries(call.value).filter(([, value]) => !value?.UNSET);
  return { ...call, value: Object.fromEntries(present) };
}

class Comparison {
  kinds = {};
  calls = 0;
  requests = 0;

  constructor(url) {
    this.http = new ConvexHttpClient(url, QUIET);
    this.socket = new ConvexClient(url, QUIET);
  }

  async seed(seed, callCount) {
    const draw = new Draw(seed);
    const reference = (path) => makeFunctionReference(path);
    const local = convexTest({ schema, modules });
    await this.http.mutation(reference("calls:clear"), {});
    const theirs = new Side(async (type, path, args) => await local[type](reference(path), args));
    const ours = new Side(async (type, path, args) => {
      const client = this.requests++ % 2 === 0 ? this.http : this.socket;
      return await within(client[type](reference(path), args), path);
    });
    let live = null;
    const stop = this.socket.onUpdate(reference("calls:everything"), {}, (value) => (live = value));
    for (let number = 0; number < callCount; number++) {
      const call = withoutUnset(draw.call(theirs.ids.length));
      this.kinds[call.kind] = (this.kinds[call.kind] ?? 0) + 1;
      this.calls++;
      const expected =
        call.kind === "filter" ? await expectFilter(theirs, call) : await runOn(theirs, call);
      const got = await runOn(ours, call);
      if (theirs.canonical(expected) !== ours.canonical(got)) {
        this.report(seed, number, theirs.canonical(expected), ours.canonical(got), {
          call,
          message: got.message,
        });
        return stop();
      }
    }
    await this.compareLive(seed, theirs, ours, () => live);
    stop();
  }

  /** The subscription must come to show what convex-test holds at the end. */
  async compareLive(seed, theirs, ours, live) {
    const expected = theirs.canonical(await theirs.run("query", "calls:everything", {}));
    const start = Date.now();
    while (ours.canonical(live()) !== expected) {
      if (Date.now() - start > 3000) {
        return this.report(seed, "end", expected, ours.canonical(live()), {});
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  report(seed, number, expected, got, rest) {
    let same = 0;
    while (expected[same] === got[same]) same++;
    const start = Math.max(0, same - SHOWN_BEFORE);
    const excerpt = (text) => text.slice(start, start + SHOWN_CHARACTERS);
    const difference = { seed, number, expected: excerpt(expected), got: excerpt(got), ...rest };
    process.stdout.write(`${JSON.stringify(difference, showValue)}\n`);
  }
}

/** For people: what JSON has no form for. */
function showValue(_key, value) {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (Object.is(value, -0)) return "-0";
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value;
}

const [url, ...counts] = process.argv.slice(2);
const [firstSeed, seedCount, callCount] = counts.map(Number);
const comparison = new Comparison(url);
for (let seed = firstSeed; seed < firstSeed + seedCount; seed++)
  await comparison.seed(seed, callCount);
process.stdout.write(
  `${JSON.stringify({ seeds: seedCount, calls: comparison.calls, kinds: comparison.kinds })}\n`,
);
await comparison.socket.close();
// convex-test keeps timers for what was scheduled far ahead.
process.exit(0);
