/**
 * One execution in the worker: moves results in and syscalls out, turn by turn, until there is an
 * outcome. A turn is one command to the realm with the microtasks that follow; it runs to its end
 * on this thread.
 */
import { Command, REALM_GIVEN_UP } from "../../udf-runtime/src/host_interface.ts";
import type { JsError, RealmOutcome, TurnOutput } from "../../udf-runtime/src/host_interface.ts";
import type { Bundle } from "./bundle.ts";
import { CRYPTO_PREFIX, answerCrypto } from "./crypto.ts";
import type { Generation } from "./generation.ts";
import { MessageType, SYSCALLS_PER_FRAME_MAX } from "./protocol.ts";
import type {
  CallAhead,
  ExecuteHeader,
  OutcomeHeader,
  OutcomeKind,
  RealmKind,
  ResultsMeta,
  WhyFresh,
} from "./protocol.ts";
import { IsolateLost, RealmContext, TurnTimeout } from "./realm_context.ts";
import type { CallArgument, HostCallHandler } from "./realm_context.ts";
import type { SyncChannel } from "./sync_channel.ts";
import type { TurnMarker } from "./turn_marker.ts";
import { DamagedRealm, readTurnOutput } from "./turn_output.ts";
import { isStarved, threadMs } from "./user_time.ts";

/** Sends one frame of this execution to the backend. */
export type Send = (type: number, fields: readonly (string | Buffer)[]) => void;

export interface Wiring {
  send: Send;
  syncChannel: SyncChannel;
  marker: TurnMarker;
  /** The execution is over; its id may be forgotten. */
  onEnd: () => void;
  /** The execution made its isolate run out of memory: all others in it are lost. */
  onIsolateLost: (generation: Generation) => void;
}

/** Time for the realm to hand over its logs after user code was stopped. */
const FAIL_TIMEOUT_MS = 100;

const DAMAGED: JsError = {
  message:
    "Uncaught Error: This function changed builtins in a way that broke the runtime around it. " +
    "Leave the prototypes and globals of JavaScript as they are.",
  frames: [],
};

const EMPTY_OUTCOME: RealmOutcome = {
  kind: "error",
  logLines: [],
  observedTime: true,
  observedRandomness: true,
  envRead: [],
  consumed: [],
  mayReuse: false,
};

/** Whether functions of this kind run for long and tell their log lines at once. */
export function isActionKind(kind: ExecuteHeader["kind"]): boolean {
  return kind === "action" || kind === "httpAction";
}

export class Execution {
  readonly bundle: Bundle;
  readonly header: ExecuteHeader;
  readonly #id: number;
  #context: RealmContext;
  #realm: RealmKind;
  #whyFresh: WhyFresh | undefined;
  readonly #wiring: Wiring;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #startMs = performance.now();
  /** Anticipated calls that were not made yet, turn by turn; empty once one came differently. */
  #ahead: CallAhead[][] = [];
  #answeredAhead = 0;
  /** Calls and sleeps that the realm waits for: when they are none, it has no turn any more. */
  #awaitedCount = 0;
  #userMs = 0;
  #isOver = false;

  constructor(id: number, header: ExecuteHeader, bundle: Bundle, wiring: Wiring) {
    this.#id = id;
    this.header = header;
    this.bundle = bundle;
    this.#wiring = wiring;
    const isAction = this.#isAction;
    const reused = isAction ? undefined : bundle.takeReusable(header.module);
    const taken = isAction || reused !== undefined ? undefined : bundle.takeWarm(header);
    const warm = taken instanceof RealmContext ? taken : undefined;
    this.#whyFresh = taken instanceof RealmContext ? undefined : taken;
    this.#realm = reused !== undefined ? "reused" : warm !== undefined ? "warm" : "fresh";
    this.#context = reused ?? warm ?? bundle.take(header.kind);
    this.#context.onHostCall = this.#onHostCall;
  }

  begin(argsJson: string, ahead: CallAhead[][]): void {
    this.#ahead = ahead;
    const { kind, module, function: name, seed, unixMs, requestId, userTimeoutMs } = this.header;
    if (this.#isAction) this.#startTimer(userTimeoutMs, () => this.#stop("timeout"));
    this.#turn(Command.Begin, kind, module, name, seed, unixMs, requestId, argsJson);
  }

  settle(meta: ResultsMeta, payloads: readonly Buffer[]): void {
    this.#awaitedCount -= meta.length;
    const args: CallArgument[] = [];
    meta.forEach(([id, ok], index) => {
      const payload = payloads[index] ?? Buffer.alloc(0);
      args.push(id, ok !== 0, ok === 2 ? copyBytes(payload) : payload.toString("utf8"));
    });
    this.#turn(Command.Settle, ...args);
  }

  get generation(): Generation {
    return this.#context.generation;
  }

  /** Ends it because another execution took its isolate down: it may run again elsewhere. */
  lose(): void {
    this.#finish("system", EMPTY_OUTCOME, "");
  }

  /** Ends it because it alone has used up the memory of its isolate. */
  runOut(): void {
    this.#finish("memory", EMPTY_OUTCOME, "");
  }

  /** Ends it without an outcome. */
  cancel(): void {
    this.#end(false);
  }

  // --- Turns ---

  #turn(command: number, ...args: CallArgument[]): void {
    if (this.#isOver) return;
    this.#wiring.marker.show(this.#id);
    const start = threadMs();
    const timeoutMs = this.#budgetMs();
    let output: string | undefined;
    try {
      const answer = this.#context.call(timeoutMs, command, ...args);
      if (answer === REALM_GIVEN_UP) {
        this.#leaveWarmRealm();
        this.#context.call(timeoutMs, command, ...args);
      }
      output = this.#context.call(timeoutMs, Command.Collect);
    } catch (error) {
      this.#userMs += threadMs() - start;
      this.#fail(error);
      return;
    }
    this.#userMs += threadMs() - start;
    if (this.#isAction || this.#userMs <= this.header.userTimeoutMs) this.#deliver(output ?? "");
    else this.#stop("timeout");
  }

  /** Something happened in the realm after the outcome of its last execution. */
  #leaveWarmRealm(): void {
    this.bundle.warmRealms.discard(this.#context);
    this.#realm = "fresh";
    this.#whyFresh = { cause: "again", detail: "" };
    this.#context = this.bundle.take(this.header.kind);
    this.#context.onHostCall = this.#onHostCall;
  }

  get #isWarm(): boolean {
    return this.#realm === "warm";
  }

  get #isAction(): boolean {
    return isActionKind(this.header.kind);
  }

  /** Time by the clock for the next turn. */
  #budgetMs(): number {
    const { userTimeoutMs, patience } = this.header;
    const budget = this.#isAction
      ? userTimeoutMs - (performance.now() - this.#startMs)
      : (userTimeoutMs - this.#userMs) * patience;
    return Math.max(1, budget);
  }

  #deliver(text: string): void {
    let turn: ReturnType<typeof readTurnOutput>;
    try {
      turn = readTurnOutput(text);
    } catch (error) {
      if (!(error instanceof DamagedRealm)) throw error;
      this.#finishDamaged();
      return;
    }
    const { output, rest } = turn;
    if (output.fault !== undefined) return this.#runAgain(output.fault);
    if (output.logLines !== undefined) this.#sendLogLines(output.logLines);
    if (output.sleeps !== undefined) this.#startSleeps(output.sleeps);
    if (output.syscalls !== undefined) this.#sendSyscalls(output.syscalls, rest);
    if (output.outcome !== undefined) {
      const { kind, mayReuse } = output.outcome;
      if (mayReuse) this.bundle.rememberReuse(this.header.module);
      const mayKeep = this.#isWarm ? kind !== "neverResolves" : mayReuse && kind === "success";
      this.#finish(kind, output.outcome, rest, mayKeep);
    } else if (this.#awaitedCount === 0) this.#finishDamaged();
  }

  #finishDamaged(): void {
    this.#finish("error", { ...EMPTY_OUTCOME, error: DAMAGED }, "");
  }

  /** Ends an execution that its warm realm cannot run as a fresh one would. */
  #runAgain(fault: string): void {
    this.bundle.warmRealms.rememberFault(this.header, fault);
    this.#finish("again", { ...EMPTY_OUTCOME, error: { message: fault, frames: [] } }, "");
  }

  /**
   * Settles the calls of a turn at once if they are exactly those that the backend anticipated, in
   * a turn of its own as if the answers had come from there. Returns whether it did.
   */
  #answerAhead(syscalls: NonNullable<TurnOutput["syscalls"]>, text: string): boolean {
    const turn = this.#ahead.shift();
    if (turn === undefined) return false;
    const args: CallArgument[] = [];
    let offset = 0;
    const isExpected = syscalls.every(([id, op, length], index) => {
      const call = turn[index];
      const argsJson = text.slice(offset, (offset += length));
      if (call === undefined || call.op !== op || call.argsJson !== argsJson) return false;
      return args.push(id, call.ok, call.payload) > 0;
    });
    if (!isExpected || syscalls.length !== turn.length) {
      this.#ahead = [];
      return false;
    }
    this.#answeredAhead += turn.length;
    this.#turn(Command.Settle, ...args);
    return true;
  }

  #sendSyscalls(syscalls: NonNullable<TurnOutput["syscalls"]>, text: string): void {
    if (this.#answerAhead(syscalls, text)) return;
    this.#awaitedCount += syscalls.length;
    let offset = 0;
    for (let start = 0; start < syscalls.length; start += SYSCALLS_PER_FRAME_MAX) {
      const batch = syscalls.slice(start, start + SYSCALLS_PER_FRAME_MAX);
      const fields = [JSON.stringify(batch.map(([id, op]) => [id, op]))];
      for (const [, , length] of batch) {
        fields.push(text.slice(offset, offset + length));
        offset += length;
      }
      this.#wiring.send(MessageType.Syscalls, fields);
    }
  }

  #sendLogLines(logLines: readonly unknown[]): void {
    if (logLines.length > 0) this.#wiring.send(MessageType.Log, [JSON.stringify(logLines)]);
  }

  #startSleeps(sleeps: NonNullable<TurnOutput["sleeps"]>): void {
    this.#awaitedCount += sleeps.length;
    for (const [id, delayMs] of sleeps) {
      this.#startTimer(delayMs, () => {
        this.#awaitedCount -= 1;
        this.#turn(Command.Settle, id, true, "");
      });
    }
  }

  #startTimer(delayMs: number, onDue: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      onDue();
    }, delayMs);
    this.#timers.add(timer);
  }

  // --- The end ---

  #fail(error: unknown): void {
    if (error instanceof IsolateLost) {
      this.#finish("memory", EMPTY_OUTCOME, "");
      this.#wiring.onIsolateLost(this.generation);
    } else if (error instanceof TurnTimeout) this.#stop(this.#isStarved ? "starved" : "timeout");
    else this.#stop("error", describeRejection(error));
  }

  get #isStarved(): boolean {
    return !this.#isAction && isStarved(this.#userMs, this.header.userTimeoutMs);
  }

  /** Ends the execution, keeping the log lines and reads that the realm has recorded so far. */
  #stop(kind: OutcomeKind, error?: JsError): void {
    if (this.#isOver) return;
    if (kind === "timeout" || kind === "starved") this.#context.generation.retire();
    // Its limit is that of a fresh context, but instrumented code is slower.
    if (kind === "timeout" && this.#isWarm) return this.#runAgain("the time limit");
    let output: TurnOutput = {};
    try {
      const errorJson = error === undefined ? "" : JSON.stringify(error);
      const text = this.#context.call(FAIL_TIMEOUT_MS, Command.Fail, errorJson) ?? "";
      output = readTurnOutput(text).output;
    } catch {
      // Stopped code left the realm unable to report: the kind of the end is known all the same.
    }
    const { fault, outcome } = output;
    if (fault !== undefined) return this.#runAgain(fault);
    this.#finish(
      kind,
      outcome ?? (error === undefined ? EMPTY_OUTCOME : { ...EMPTY_OUTCOME, error }),
      "",
    );
  }

  #finish(kind: OutcomeKind, outcome: RealmOutcome, result: string, mayKeep = false): void {
    if (this.#isOver) return;
    let { logLines } = outcome;
    if (this.#isAction) {
      this.#sendLogLines(logLines);
      logLines = [];
    }
    const header: OutcomeHeader = {
      kind,
      ...(outcome.error === undefined ? {} : { error: outcome.error }),
      logLines,
      observedTime: outcome.observedTime,
      observedRandomness: outcome.observedRandomness,
      envRead: outcome.envRead,
      consumed: outcome.consumed,
      userMs: Math.round(this.#userMs * 1000) / 1000,
      heapBytes: this.#heapBytes(),
      realm: this.#realm,
      ...(this.#whyFresh === undefined ? {} : { whyFresh: this.#whyFresh }),
      answeredAhead: this.#answeredAhead,
    };
    this.#wiring.send(MessageType.Outcome, [JSON.stringify(header), result]);
    if (this.#isWarm) this.bundle.warmRealms.recordEnd(this.header, mayKeep);
    this.#end(mayKeep);
  }

  #heapBytes(): number {
    const { isolate } = this.#context.generation;
    return isolate.isDisposed ? 0 : isolate.getHeapStatisticsSync().used_heap_size;
  }

  #end(mayKeep: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#wiring.onEnd();
    if (mayKeep && this.#keep()) return;
    if (this.#isWarm) this.bundle.warmRealms.discard(this.#context);
    else this.#context.generation.release(this.#context);
  }

  #keep(): boolean {
    return this.#isWarm
      ? this.bundle.warmRealms.keep(this.#context)
      : this.bundle.keepReusable(this.header.module, this.#context);
  }

  // --- Synchronous calls ---

  readonly #onHostCall: HostCallHandler = (op, argsJson, ...bytes) => {
    if (op.startsWith(CRYPTO_PREFIX)) return answerCrypto(op, argsJson, bytes);
    switch (op) {
      case "fenchel/sendBytes":
        this.#awaitedCount += 1;
        this.#wiring.send(MessageType.Syscalls, [`[${argsJson}]`, Buffer.from(firstOf(bytes))]);
        return "1";
      case "fenchel/mapFrames":
        return this.bundle.stackMapper.answer(argsJson);
      case "fenchel/elapsedMs":
        return `1${performance.now() - this.#startMs}`;
      default:
        return this.#wiring.syncChannel.call(this.#id, op, argsJson);
    }
  };
}

/** A buffer of its own, for the realm to own a copy of. */
function copyBytes(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

/** Only the runtime calls the host, and always with bytes where they belong. */
function firstOf(bytes: readonly ArrayBuffer[]): ArrayBuffer {
  const [first] = bytes;
  if (first === undefined) throw new Error("A call that carries bytes came without");
  return first;
}

/** An unhandled rejection as the engine copied it out of the realm. */
export function describeRejection(thrown: unknown): JsError {
  if (!(thrown instanceof Error)) return { message: `Uncaught ${String(thrown)}`, frames: [] };
  const { name, message } = thrown;
  const text = name === "" || message === "" ? name + message : `${name}: ${message}`;
  return { message: `Uncaught ${text}`.trimEnd(), frames: framesOfStack(thrown.stack ?? "") };
}

/** Lines of the realm's part of the stack; what follows the boundary is this worker's own. */
function framesOfStack(stack: string): string[] {
  const [realmPart = ""] = stack.split("\n    at (<isolated-vm boundary>)");
  return realmPart
    .split("\n")
    .filter((line) => line.startsWith("    at "))
    .map((line) => line.trimStart());
}
