/**
 * Runs web-platform-tests (`*.any.js`) inside functions of the built worker and counts what passes.
 * The tests are not part of this repository: pass the folder of a copy, for instance
 * test/fixtures/wpt of Node's source. Each file is an app of its own.
 * Run: node wpt/run.ts FOLDER [area…]; `--failures` lists the names of what fails.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { bundleApp } from "../test/app_bundle.ts";
import { WorkerProcess } from "../test/worker_process.ts";
import type { Answerer } from "../test/worker_process.ts";

const SECONDS_MAX = 30;
const ORIGIN = "https://wpt.example";

interface FileResult {
  file: string;
  passed: number;
  failed: string[];
  /** Why the file did not come to its end. */
  crash: string | null;
}

const [folder = "", ...rest] = process.argv.slice(2);
const showFailures = rest.includes("--failures");
const areas = rest.filter((argument) => argument !== "--failures");

function filesOf(area: string): string[] {
  const found = fs.statSync(path.join(folder, area)).isFile()
    ? [""]
    : (fs.readdirSync(path.join(folder, area), { recursive: true }) as string[]);
  return found
    .filter((name) => name === "" || (name.endsWith(".any.js") && !name.includes("idlharness")))
    .map((name) => path.join(area, name))
    .sort();
}

function read(file: string): string {
  return fs.readFileSync(path.join(folder, file), "utf8");
}

/** The scripts that a test names in its head, and itself. */
function scriptsOf(file: string): string[] {
  const source = read(file);
  const named = [...source.matchAll(/^\/\/ META: script=(.*)$/gm)].map(([, script = ""]) =>
    script.startsWith("/") ? script.slice(1) : path.join(path.dirname(file), script),
  );
  return [...named.map(read), source];
}

/** One module: harness and scripts in one scope, as a page would have them. */
function moduleOf(file: string): string {
  const source = read(file);
  const base = `${ORIGIN}/${path.dirname(file)}/`;
  return `
import { actionGeneric } from "convex/server";
export const run = actionGeneric(async () => {
  const results = [];
  const base = ${JSON.stringify(base)};
  const nativeFetch = globalThis.fetch;
  globalThis.fetch = (input, init) => nativeFetch(new URL(input, base), init);
  globalThis.location = new URL(base);
  globalThis.FileReader = class extends EventTarget {
    readAsText(blob) { this.#read(blob.text()); }
    readAsArrayBuffer(blob) { this.#read(blob.arrayBuffer()); }
    async #read(result) {
      this.result = await result;
      for (const name of ["load", "loadend"]) {
        const event = new Event(name);
        this["on" + name]?.(event);
        this.dispatchEvent(event);
      }
    }
  };
  globalThis.GLOBAL = { isWindow: () => false, isWorker: () => false, isShadowRealm: () => false };
  (function () { ${read("resources/testharness.js")} }).call(globalThis);
  const { setup, add_completion_callback } = globalThis;
  const finished = new Promise((resolve) => add_completion_callback((tests) => {
    for (const { name, status, message } of tests) results.push([name, status, message]);
    resolve();
  }));
  ${source.includes("META: variant") ? 'globalThis.location = new URL("?1-1000", base);' : ""}
  (function () { ${scriptsOf(file).join("\n;\n")} }).call(globalThis);
  await finished;
  return results.map(([name, status, message]) => [name.toWellFormed(), status, String(message).slice(0, 200)]);
});
`;
}

/** Serves the files of the folder to \`fetch\`. */
function answererOf(): Answerer {
  const bodies: (Buffer | null)[] = [];
  return (op, args) => {
    if (op === "fenchel/fetch") {
      const { url, body } = args as { url: string; body: Buffer };
      if (url.includes("echo-content")) {
        bodies.push(url.includes("escaped") ? escapeBytes(body) : body);
        return JSON.stringify({ status: 200, statusText: "", headers: [], stream: bodies.length - 1 });
      }
      const file = path.join(folder, new URL(url).pathname);
      const exists = url.startsWith(ORIGIN) && fs.existsSync(file);
      bodies.push(exists ? fs.readFileSync(file) : null);
      const head = { status: exists ? 200 : 404, statusText: "", headers: [], stream: bodies.length - 1 };
      return JSON.stringify(head);
    }
    if (op !== "fenchel/readStream") return "";
    const { stream } = args as { stream: number };
    const body = bodies[stream] ?? null;
    bodies[stream] = null;
    return body ?? "";
  };
}

/** What the suite's echo-content-escaped.py answers. */
function escapeBytes(body: Buffer): Buffer {
  const escaped = [...body].map((byte) => {
    const isPlain = byte === 0x0a || byte === 0x0d || (byte >= 0x20 && byte < 0x7f && byte !== 0x5c);
    return isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0").toUpperCase()}`;
  });
  return Buffer.from(escaped.join(""));
}

async function runFile(worker: WorkerProcess, file: string): Promise<FileResult> {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "fenchel-wpt-"));
  const result: FileResult = { file, passed: 0, failed: [], crash: null };
  try {
    fs.symlinkSync(path.join(import.meta.dirname, "../../../node_modules"), path.join(scratch, "node_modules"));
    fs.writeFileSync(path.join(scratch, "t.js"), moduleOf(file));
    const app = await bundleApp(scratch, ["t.js"]);
    const bundle = await worker.load(app, { contextsAhead: 0 });
    const outcome = await worker.run(bundle, "action", "t:run", {}, answererOf(), {
      userTimeoutMs: SECONDS_MAX * 1000,
    });
    worker.unload(bundle);
    if (outcome.header.kind !== "success") {
      result.crash = outcome.header.error?.message ?? outcome.header.kind;
      return result;
    }
    for (const [name, status, message] of JSON.parse(outcome.result) as [string, number, string][]) {
      if (status === 0) result.passed += 1;
      else result.failed.push(`${name}: ${message}`);
    }
  } catch (error) {
    result.crash = String(error).slice(0, 300);
  } finally {
    fs.rmSync(scratch, { recursive: true });
  }
  return result;
}

for (const area of areas) {
  let worker = await WorkerProcess.start();
  const results: FileResult[] = [];
  for (const file of filesOf(area)) {
    const result = await runFile(worker, file);
    results.push(result);
    if (result.crash?.includes("worker died")) worker = await WorkerProcess.start();
    if (!showFailures) continue;
    if (result.crash !== null) console.log(`  ${file}: CRASH ${result.crash.slice(0, 300)}`);
    for (const failure of result.failed) console.log(`  ${file}: ${failure}`);
  }
  await worker.stop();
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed.length, 0);
  const crashed = results.filter(({ crash }) => crash !== null).length;
  console.log(`${area}: ${passed} passed, ${failed} failed; ${crashed} of ${results.length} files did not end`);
}
