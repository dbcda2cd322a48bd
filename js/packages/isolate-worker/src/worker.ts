/**
 * Dispatches the backend's messages to bundles and executions. Knows no sockets: frames in, frames
 * out.
 */
import type { EvaluatorKind } from "../../udf-runtime/src/host_interface.ts";
import { Bundle } from "./bundle.ts";
import { runEvaluator } from "./evaluation.ts";
import { Execution, isActionKind } from "./execution.ts";
import type { Generation } from "./generation.ts";
import { FrameError } from "./frames.ts";
import type { Frame } from "./frames.ts";
import { MessageType } from "./protocol.ts";
import type { AheadMeta, BundleHeader, CallAhead, ExecuteHeader, ResultsMeta } from "./protocol.ts";
import type { SyncChannel } from "./sync_channel.ts";
import type { TurnMarker } from "./turn_marker.ts";
import { WarmBudget } from "./warm/warm_budget.ts";

/** Marks work that is no execution's: making a warm realm, which takes longer than a context. */
const NOBODYS_TURN = 0;

export type SendFrame = (type: number, id: number, fields: readonly (string | Buffer)[]) => void;

export class Worker {
  readonly #send: SendFrame;
  readonly #syncChannel: SyncChannel;
  readonly #marker: TurnMarker;
  readonly #bundles = new Map<number, Bundle>();
  readonly #warmBudget: WarmBudget;
  readonly #executions = new Map<number, Execution>();

  constructor(send: SendFrame, syncChannel: SyncChannel, marker: TurnMarker) {
    this.#send = send;
    this.#syncChannel = syncChannel;
    this.#marker = marker;
    this.#warmBudget = new WarmBudget(() => marker.show(NOBODYS_TURN));
  }

  /** Handles one message. Raises FrameError when the backend broke the protocol. */
  handle(frame: Frame): void {
    switch (frame.type) {
      case MessageType.Load:
        this.#load(frame);
        break;
      case MessageType.Unload:
        this.#bundles.get(frame.id)?.unload();
        this.#bundles.delete(frame.id);
        break;
      case MessageType.WarmScript:
        this.#bundles.get(frame.id)?.receiveWarmScript(text(frame, 0));
        break;
      case MessageType.Execute:
        this.#execute(frame);
        break;
      case MessageType.Results:
        this.#executions.get(frame.id)?.settle(json<ResultsMeta>(frame, 0), frame.fields.slice(1));
        break;
      case MessageType.Cancel:
        this.#executions.get(frame.id)?.cancel();
        break;
      default:
        throw new FrameError(`Unknown message type ${frame.type}`);
    }
  }

  /**
   * Prepares one context ahead of its use; false when there is nothing to prepare. While a query or
   * mutation is under way, whose next turn would have to wait for it, only what is missed badly.
   */
  prepareOne(): boolean {
    const isBusy = [...this.#executions.values()].some(({ header }) => !isActionKind(header.kind));
    for (const bundle of this.#bundles.values()) {
      const { warmRealms } = bundle;
      // Calls that follow each other at once keep this side refilling contexts, without being busy.
      if (warmRealms.prepareOneUnderLoad() || (!isBusy && bundle.prepareOne())) {
        this.#loseStranded();
        return true;
      }
    }
    return false;
  }

  #load(frame: Frame): void {
    const header = json<BundleHeader>(frame, 0);
    try {
      const [script, sourceMap] = [text(frame, 1), text(frame, 2)];
      const snapshot = field(frame, 3);
      const bundle = new Bundle(header, script, sourceMap, snapshot, this.#warmBudget);
      this.#bundles.set(frame.id, bundle);
      // Whoever waits for the bundle, as a deploy does, wants its first execution to wait no more.
      if (header.isAppBundle) bundle.prepareFirst();
      this.#send(MessageType.Loaded, frame.id, ['{"ok":true}']);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#send(MessageType.Loaded, frame.id, [JSON.stringify({ ok: false, message })]);
    }
  }

  #execute(frame: Frame): void {
    const header = json<ExecuteHeader>(frame, 0);
    const bundle = this.#bundles.get(header.bundle);
    if (bundle === undefined) throw new FrameError(`Bundle ${header.bundle} is not loaded`);
    if (isEvaluator(header.kind)) {
      const { header: outcome, result } = runEvaluator(bundle, header);
      this.#send(MessageType.Outcome, frame.id, [JSON.stringify(outcome), result]);
      return;
    }
    this.#marker.show(frame.id);
    const execution = new Execution(frame.id, header, bundle, {
      send: (type, fields) => this.#send(type, frame.id, fields),
      syncChannel: this.#syncChannel,
      marker: this.#marker,
      onEnd: () => this.#executions.delete(frame.id),
      onIsolateLost: (generation) => this.#loseAll(generation),
    });
    this.#loseStranded();
    this.#executions.set(frame.id, execution);
    execution.begin(text(frame, 1), callsAhead(frame));
  }

  /** Ends those in whose isolate there was no memory left for the context of another. */
  #loseStranded(): void {
    const all = [...this.#executions.values()];
    const stranded = all.filter(({ generation }) => generation.isolate.isDisposed);
    if (stranded.length === 1) stranded[0]?.runOut();
    else for (const execution of stranded) execution.lose();
  }

  #loseAll(generation: Generation): void {
    for (const execution of [...this.#executions.values()]) {
      if (execution.generation === generation) execution.lose();
    }
  }
}

function isEvaluator(kind: ExecuteHeader["kind"]): kind is EvaluatorKind {
  return kind !== "query" && kind !== "mutation" && !isActionKind(kind);
}

/** The anticipated calls of an EXECUTE frame, turn by turn: args and answer of each. */
function callsAhead(frame: Frame): CallAhead[][] {
  const turns: CallAhead[][] = [];
  if (frame.fields.length <= 2) return turns;
  json<AheadMeta>(frame, 2).forEach(([op, ok, turn], index) => {
    const [argsJson, payload] = [text(frame, 3 + 2 * index), text(frame, 4 + 2 * index)];
    (turns[turn] ??= []).push({ op, argsJson, ok: ok === 1, payload });
  });
  return turns;
}

function field(frame: Frame, index: number): Buffer {
  const bytes = frame.fields[index];
  if (bytes === undefined) throw new FrameError(`Message ${frame.type} lacks field ${index}`);
  return bytes;
}

function text(frame: Frame, index: number): string {
  return field(frame, index).toString("utf8");
}

function json<T>(frame: Frame, index: number): T {
  return JSON.parse(text(frame, index)) as T;
}
