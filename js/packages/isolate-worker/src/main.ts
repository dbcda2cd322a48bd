/**
 * Entry of the worker process: sockets, and context preparation while nothing else is to be done.
 */
import net from "node:net";
import { limitAppStack, setEngineFlags } from "./engine_flags.ts";
import { FrameDecoder, encodeFrame } from "./frames.ts";
import type { Frame } from "./frames.ts";
import { MessageType, PROTOCOL_VERSION } from "./protocol.ts";
import { runtimeDigest } from "./snapshot.ts";
import { SyncChannel } from "./sync_channel.ts";
import { TurnMarker } from "./turn_marker.ts";
import { Worker } from "./worker.ts";

const ASYNC_FD = 3;
const SYNC_FD = 4;
const MARKER_FD = 5;

setEngineFlags();
limitAppStack(Number(process.argv[2]));

const socket = new net.Socket({ fd: ASYNC_FD, readable: true, writable: true });
const decoder = new FrameDecoder();
const outbox: Buffer[] = [];
let isPreparing = false;

function send(type: number, id: number, fields: readonly (string | Buffer)[]): void {
  if (outbox.length === 0) queueMicrotask(flush);
  outbox.push(encodeFrame(type, id, fields));
}

const worker = new Worker(send, new SyncChannel(SYNC_FD), new TurnMarker(MARKER_FD));

/** Sends the frames of this turn in one write. */
function flush(): void {
  if (outbox.length === 0) return;
  const frames = outbox.splice(0);
  socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
}

function handle(frame: Frame): void {
  if (frame.type === MessageType.Shutdown) process.exit(0);
  // What is done must not wait for the turn of another, which may be long.
  flush();
  worker.handle(frame);
}

/** Without the turns of those who left meanwhile, as they do while another's turn is long. */
function stillWanted(frames: Frame[]): Frame[] {
  if (frames.length === 1) return frames;
  const left = new Set(
    frames.filter(({ type }) => type === MessageType.Cancel).map(({ id }) => id),
  );
  return frames.filter(({ type, id }) => !(isTurn(type) && left.has(id)));
}

function isTurn(type: number): boolean {
  return type === MessageType.Execute || type === MessageType.Results;
}

function schedulePreparation(): void {
  if (isPreparing) return;
  isPreparing = true;
  setImmediate(prepare);
}

/** One context a time, so that messages which came in meanwhile go first. */
function prepare(): void {
  isPreparing = false;
  if (worker.prepareOne()) schedulePreparation();
}

socket.on("data", (chunk) => {
  for (const frame of stillWanted(decoder.push(chunk))) handle(frame);
  schedulePreparation();
});
socket.on("end", () => process.exit(0));
socket.on("error", () => process.exit(1));

const ready = {
  protocol: PROTOCOL_VERSION,
  node: process.versions.node,
  v8: process.versions.v8,
  runtimeDigest: runtimeDigest(),
};
socket.write(encodeFrame(MessageType.Ready, 0, [JSON.stringify(ready)]));
