/**
 * Calls every query and mutation once, in an isolate with the usual limits, to find out which calls
 * are harmless: a snapshot is then built with their compiled code (decision 0050). Nobody answers
 * here but this file, so that nothing of what the functions do leads out of the process.
 */
import { Command } from "../../udf-runtime/src/host_interface.ts";
import type { FunctionKind, TurnOutput } from "../../udf-runtime/src/host_interface.ts";
import { Generation } from "./generation.ts";
import type { BundleHeader } from "./protocol.ts";
import { IsolateLost, TurnTimeout } from "./realm_context.ts";
import type { CallArgument, RealmContext } from "./realm_context.ts";
import { createRuntimeSnapshot } from "./snapshot.ts";
import type { Rehearsal } from "./snapshot.ts";

type Place = [kind: FunctionKind, module: string, name: string];

const FUNCTIONS_MAX = 256;
const TURNS_MAX = 4;
const CALL_MS_MAX = 50;
const IMPORT_MS_MAX = 1_000;
/** A large app is rehearsed as far as it comes in this time. */
const TOTAL_MS_MAX = 1_500;
/** Functions that did not end or took all memory; each costs an isolate. */
const LOST_MAX = 2;
/** A function that went on until it found no room for its buffers would not find that limit again. */
const BUFFER_BYTES_MAX = 8 * 1024 * 1024;
const SEED = "0".repeat(64);

const DOCUMENT = '{"_creationTime":1,"_id":""}';
/** Answers that lead on. Other calls get null. */
const ANSWERS: Record<string, string> = {
  "fenchel/queryPage": `1\n${DOCUMENT}`,
  "1.0/queryPage": `{"page":[${DOCUMENT}],"isDone":true,"continueCursor":"","splitCursor":null,"pageStatus":null}`,
  "1.0/get": DOCUMENT,
  "1.0/insert": '{"_id":""}',
  "1.0/count": "0",
};

/** The calls that can be made again; none when the app cannot be evaluated. */
export function rehearse(header: BundleHeader, script: string): Rehearsal {
  const source = { header, realm: createRuntimeSnapshot(), script };
  const end = performance.now() + TOTAL_MS_MAX;
  const rehearsal: Rehearsal = [];
  let context = open(source);
  let lost = 0;
  for (const place of listFunctions(context)) {
    if (performance.now() > end || lost === LOST_MAX) break;
    const calls = callOnce(context, place);
    if (calls === null) {
      context.generation.kill();
      context = open(source);
      lost += 1;
    } else rehearsal.push(...calls);
  }
  context.generation.kill();
  return rehearsal;
}

function open(source: ConstructorParameters<typeof Generation>[0]): RealmContext {
  const context = new Generation(source, 1).take();
  context.onHostCall = (op) => `0${JSON.stringify({ message: `${op} in a rehearsal` })}`;
  return context;
}

function listFunctions(context: RealmContext): Place[] {
  try {
    const json = context.call(IMPORT_MS_MAX, Command.ListFunctions) ?? "[]";
    return (JSON.parse(json) as Place[]).slice(0, FUNCTIONS_MAX);
  } catch {
    // A module throws: such an app gets no snapshot, and its developer hears of it from the push.
    return [];
  }
}

/** What was called for one function; null when it must not be called again. */
function callOnce(context: RealmContext, [kind, module, name]: Place): Rehearsal | null {
  const calls: Rehearsal = [];
  const bufferBytes = bufferBytesOf(context);
  const call = (command: number, ...args: CallArgument[]): string | undefined => {
    calls.push([command, ...args]);
    return context.call(CALL_MS_MAX, command, ...args);
  };
  try {
    call(Command.Begin, kind, module, name, SEED, 0, "", "[{}]");
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      const syscalls = syscallsOf(call(Command.Collect) ?? "");
      if (syscalls.length === 0) break;
      call(Command.Settle, ...syscalls.flatMap(([id, op]) => [id, true, ANSWERS[op] ?? "null"]));
    }
  } catch (error) {
    if (error instanceof TurnTimeout || error instanceof IsolateLost) return null;
    // A rejection that nobody handled: most functions fail without their arguments.
  }
  return bufferBytesOf(context) - bufferBytes > BUFFER_BYTES_MAX ? null : calls;
}

function bufferBytesOf({ generation }: RealmContext): number {
  return generation.isolate.getHeapStatisticsSync().externally_allocated_size;
}

function syscallsOf(text: string): NonNullable<TurnOutput["syscalls"]> {
  const [head = ""] = text.split("\n", 1);
  return head === "" ? [] : ((JSON.parse(head) as TurnOutput).syscalls ?? []);
}
