/** Drives the built worker as the backend does: over its sockets, with a scripted database. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { LogLine } from "../../udf-runtime/src/host_interface.ts";
import { FrameDecoder, encodeFrame } from "../src/frames.ts";
import type { Frame } from "../src/frames.ts";
import { MessageType } from "../src/protocol.ts";
import type {
  BundleHeader,
  CallAhead,
  ExecuteHeader,
  OutcomeHeader,
  ResultsMeta,
} from "../src/protocol.ts";
import type { WarmScriptAnswer } from "../src/warm/warm_script.ts";
import type { AppBundle } from "./app_bundle.ts";

export const BUNDLED = path.join(import.meta.dirname, "../../../../src/fenchel/_bundled");
export const WORKER_FLAGS = [
  "--no-node-snapshot",
  "--max-semi-space-size=16",
  "--min-semi-space-size=16",
  "--stack-size=2560",
];
const APP_STACK_KIBIBYTES = "2048";
export const SEED = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
export const NOW_MS = 1_700_000_000_000;
export const IMPORT_MS = 1_600_000_000_000;

export const DEFAULT_BUNDLE_HEADER: Omit<BundleHeader, "modules"> = {
  key: "test",
  env: {},
  importSeed: SEED.replaceAll("0", "9"),
  importUnixMs: IMPORT_MS,
  heapMiB: 96,
  bufferMiB: 64,
  contextsAhead: 2,
  contextsPerIsolate: 20,
  warmRealmsMax: 0,
  warmRealmBytesMax: 64 * 1024 * 1024,
  warmAfterExecutions: 16,
  isAppBundle: true,
  logLimits: { lines: 256, lineBytes: 32_768 },
};

/** The answer to one syscall: a result text, bytes, or an error. */
export type Answer = string | Buffer | { message: string; data?: unknown };

/** Answers a syscall of an execution; `null` leaves it unanswered. */
export type Answerer = (op: string, args: unknown) => Answer | null;

export interface Outcome {
  header: OutcomeHeader;
  result: string;
  /** Lines that came while the execution ran (actions). */
  streamed: LogLine[];
  /** Ops of every SYSCALLS frame, in order. */
  batches: string[][];
}

interface Running {
  answerer: Answerer;
  streamed: LogLine[];
  batches: string[][];
  resolve: (outcome: Outcome) => void;
  reject: (error: Error) => void;
}

function fieldsAhead(turns: CallAhead[][]): string[] {
  if (turns.length === 0) return [];
  const meta = turns.flatMap((calls, turn) =>
    calls.map(({ op, ok }) => [op, ok ? 1 : 0, turn] as const),
  );
  return [JSON.stringify(meta), ...turns.flat().flatMap((call) => [call.argsJson, call.payload])];
}

/** A file without a name, as the backend passes it: where the worker says whose turn it is. */
function openMarker(): number {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "marker-"));
  const descriptor = fs.openSync(path.join(folder, "turn"), "w+");
  fs.rmSync(folder, { recursive: true });
  return descriptor;
}

export class WorkerProcess {
  readonly child: ChildProcess;
  ready: Record<string, unknown> = {};
  readonly #socket: Duplex;
  readonly #decoder = new FrameDecoder();
  readonly #running = new Map<number, Running>();
  readonly #waiting = new Map<number, (frame: Frame) => void>();
  syncAnswerer: Answerer = (op) => ({ message: `Unknown operation ${op}` });
  /** Which call an answer says it belongs to, given the one that was asked. */
  syncResultId = (askedId: number): number => askedId;
  #nextId = 1;

  private constructor() {
    const marker = openMarker();
    this.child = spawn(
      process.execPath,
      [...WORKER_FLAGS, path.join(BUNDLED, "isolate-worker.cjs"), APP_STACK_KIBIBYTES],
      {
        stdio: [
          "ignore",
          "inherit",
          process.env["WORKER_STDERR"] === undefined ? "ignore" : "inherit",
          "pipe",
          "pipe",
          marker,
        ],
        env: { TZ: "UTC" },
      },
    );
    fs.closeSync(marker);
    this.#socket = this.child.stdio[3] as unknown as Duplex;
    this.#socket.on("data", (chunk: Buffer) => {
      for (const frame of this.#decoder.push(chunk)) this.#receive(frame);
    });
    this.#answerSyncCalls(this.child.stdio[4] as unknown as Duplex);
    this.child.on("exit", () => {
      for (const { reject } of this.#running.values()) reject(new Error("The worker died"));
    });
  }

  static async start(): Promise<WorkerProcess> {
    const worker = new WorkerProcess();
    const frame = await worker.#wait(0);
    worker.ready = JSON.parse(frame.fields[0]?.toString() ?? "") as Record<string, unknown>;
    return worker;
  }

  async load(
    app: AppBundle,
    header: Partial<BundleHeader> = {},
    snapshot?: Buffer,
  ): Promise<number> {
    const id = this.#nextId++;
    const loaded = this.#wait(id);
    const full = { ...DEFAULT_BUNDLE_HEADER, modules: app.modules, ...header };
    const fields = [JSON.stringify(full), app.script, app.sourceMap, snapshot ?? ""];
    this.#socket.write(encodeFrame(MessageType.Load, id, fields));
    const { ok, message } = JSON.parse((await loaded).fields[0]?.toString() ?? "") as {
      ok: boolean;
      message?: string;
    };
    if (!ok) throw new Error(message);
    return id;
  }

  giveWarmScript(bundle: number, answer: WarmScriptAnswer): void {
    this.#socket.write(encodeFrame(MessageType.WarmScript, bundle, [JSON.stringify(answer)]));
  }

  unload(bundle: number): void {
    this.#socket.write(encodeFrame(MessageType.Unload, bundle, []));
  }

  /** Starts an execution; `path` is "module:function". The id is for `cancel`. */
  start(
    bundle: number,
    kind: ExecuteHeader["kind"],
    functionPath: string,
    args: unknown = {},
    answerer: Answerer = () => null,
    header: Partial<ExecuteHeader> = {},
    ahead: CallAhead[][] = [],
  ): { id: number; outcome: Promise<Outcome> } {
    const id = this.#nextId++;
    const [module = "", name = ""] = functionPath.split(":");
    // Actions have their time by the clock, and all of it passes while others have the machine.
    const isAction = kind === "action" || kind === "httpAction";
    const full: ExecuteHeader = {
      bundle,
      kind,
      module: module === "" ? "" : `${module}.js`,
      function: name,
      seed: SEED,
      unixMs: NOW_MS,
      requestId: "0123456789abcdef",
      executionId: "execution",
      userTimeoutMs: isAction ? 30_000 : 1000,
      patience: 30,
      isFresh: false,
      ...header,
    };
    const outcome = new Promise<Outcome>((resolve, reject) => {
      this.#running.set(id, { answerer, streamed: [], batches: [], resolve, reject });
    });
    this.#socket.write(
      encodeFrame(MessageType.Execute, id, [
        JSON.stringify(full),
        JSON.stringify(kind === "httpAction" ? args : [args]),
        ...fieldsAhead(ahead),
      ]),
    );
    return { id, outcome };
  }

  run(...args: Parameters<WorkerProcess["start"]>): Promise<Outcome> {
    return this.start(...args).outcome;
  }

  /** What becomes of who does not end: who had too little of the machine is run again with more. */
  async runToLimit(
    bundle: number,
    kind: ExecuteHeader["kind"],
    functionPath: string,
    userTimeoutMs: number,
    answerer?: Answerer,
  ): Promise<Outcome> {
    for (let patience = 1; ; patience *= 4) {
      const limits = { userTimeoutMs, patience };
      const outcome = await this.run(bundle, kind, functionPath, {}, answerer, limits);
      if (outcome.header.kind !== "starved") return outcome;
    }
  }

  cancel(id: number): void {
    this.#socket.write(encodeFrame(MessageType.Cancel, id, []));
    this.#running.delete(id);
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.child.once("exit", resolve));
    this.#socket.write(encodeFrame(MessageType.Shutdown, 0, []));
    await exited;
  }

  #wait(id: number): Promise<Frame> {
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  #receive(frame: Frame): void {
    const running = this.#running.get(frame.id);
    const [head = Buffer.alloc(0), ...rest] = frame.fields;
    switch (frame.type) {
      case MessageType.Syscalls:
        this.#answer(frame.id, JSON.parse(head.toString()) as [number, string][], rest);
        break;
      case MessageType.Log:
        running?.streamed.push(...(JSON.parse(head.toString()) as LogLine[]));
        break;
      case MessageType.Outcome: {
        this.#running.delete(frame.id);
        const header = JSON.parse(head.toString()) as OutcomeHeader;
        const { streamed = [], batches = [] } = running ?? {};
        running?.resolve({ header, result: rest[0]?.toString() ?? "", streamed, batches });
        break;
      }
      default:
        this.#waiting.get(frame.id)?.(frame);
        this.#waiting.delete(frame.id);
    }
  }

  #answer(id: number, meta: [number, string][], args: Buffer[]): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.batches.push(meta.map(([, op]) => op));
    const answered: ResultsMeta = [];
    const payloads: (string | Buffer)[] = [];
    meta.forEach(([syscallId, op], index) => {
      const answer = running.answerer(op, decodeArgs(op, args[index] ?? Buffer.alloc(0)));
      if (answer === null) return;
      const isError = typeof answer !== "string" && !Buffer.isBuffer(answer);
      answered.push([syscallId, isError ? 0 : Buffer.isBuffer(answer) ? 2 : 1]);
      payloads.push(isError ? JSON.stringify(answer) : answer);
    });
    if (answered.length === 0) return;
    this.#socket.write(
      encodeFrame(MessageType.Results, id, [JSON.stringify(answered), ...payloads]),
    );
  }

  #answerSyncCalls(socket: Duplex): void {
    const decoder = new FrameDecoder();
    socket.on("data", (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        const [op, args] = frame.fields.map(String);
        const answer = this.syncAnswerer(op ?? "", JSON.parse(args ?? "null"));
        const isError = typeof answer !== "string";
        const fields = isError ? ["0", JSON.stringify(answer)] : ["1", answer];
        socket.write(encodeFrame(MessageType.SyncResult, this.syncResultId(frame.id), fields));
      }
    });
  }
}

/** Arguments with bytes behind a head get those as `body`; `writeStream` is nothing but bytes. */
function decodeArgs(op: string, args: Buffer): unknown {
  if (op === "fenchel/writeStream") return args;
  const end = args.indexOf("\n");
  if (end < 0) return JSON.parse(args.toString());
  const head = JSON.parse(args.toString("utf8", 0, end)) as object;
  return { ...head, body: args.subarray(end + 1) };
}

/** Runs the snapshot builder; undefined when it says that the app cannot live in a snapshot. */
export async function buildSnapshot(
  app: AppBundle,
  header: Partial<BundleHeader> = {},
  isRehearsed = true,
): Promise<{ ok: boolean; message?: string; snapshot: Buffer }> {
  const full = { ...DEFAULT_BUNDLE_HEADER, modules: app.modules, ...header };
  const child = spawn(
    process.execPath,
    [WORKER_FLAGS[0] ?? "", path.join(BUNDLED, "snapshot-builder.cjs")],
    {
      stdio: ["pipe", "pipe", "inherit"],
      env: { TZ: "UTC" },
      // As the backend does.
      timeout: 20_000,
      killSignal: "SIGKILL",
    },
  );
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const fields = [JSON.stringify(full), app.script, JSON.stringify({ isRehearsed })];
  child.stdin.end(encodeFrame(MessageType.BuildSnapshot, 0, fields));
  await new Promise((resolve) => child.once("close", resolve));
  const [frame] = new FrameDecoder().push(Buffer.concat(chunks));
  const answer = JSON.parse(frame?.fields[0]?.toString() ?? '{"ok":false,"message":"crashed"}') as {
    ok: boolean;
    message?: string;
  };
  return { ...answer, snapshot: frame?.fields[1] ?? Buffer.alloc(0) };
}
