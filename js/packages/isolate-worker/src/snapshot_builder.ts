/**
 * Process that builds one app snapshot or one script for warm realms: a frame in on stdin, a frame
 * out on stdout. It may crash or be killed.
 */
import fs from "node:fs";
import { setEngineFlags } from "./engine_flags.ts";
import { checkFrameLength, decodeFrameBody, encodeFrame } from "./frames.ts";
import type { Frame } from "./frames.ts";
import { MessageType } from "./protocol.ts";
import type { BuildOptions, BundleHeader } from "./protocol.ts";
import { rehearse } from "./rehearsal.ts";
import { createAppSnapshot } from "./snapshot.ts";
import { buildWarmScript } from "./warm/warm_script.ts";

const STDIN = 0;
const STDOUT = 1;

function readExactly(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let offset = 0;
  while (offset < length) {
    const count = fs.readSync(STDIN, bytes, offset, length - offset, null);
    if (count === 0) throw new Error("Input ended inside a frame");
    offset += count;
  }
  return bytes;
}

function writeAll(bytes: Buffer): void {
  let offset = 0;
  while (offset < bytes.length) offset += fs.writeSync(STDOUT, bytes, offset);
}

function readFrame(): Frame {
  const length = readExactly(4).readUInt32LE(0);
  checkFrameLength(length);
  return decodeFrameBody(readExactly(length));
}

function field(frame: Frame, index: number): string {
  const bytes = frame.fields[index];
  if (bytes === undefined) throw new Error("Not a request for a snapshot or a script");
  return bytes.toString("utf8");
}

function buildSnapshot(frame: Frame): Buffer {
  const bundle = JSON.parse(field(frame, 0)) as BundleHeader;
  const script = field(frame, 1);
  const warmJson = bundle.warmRealmsMax === 0 ? "" : JSON.stringify(buildWarmScript(script));
  const { isRehearsed } = JSON.parse(field(frame, 2)) as BuildOptions;
  return createAppSnapshot(bundle, script, warmJson, isRehearsed ? rehearse(bundle, script) : []);
}

function respond(): Buffer {
  const frame = readFrame();
  if (frame.type === MessageType.BuildWarmScript) {
    const answer = JSON.stringify(buildWarmScript(field(frame, 0)));
    return encodeFrame(MessageType.WarmScriptBuilt, 0, [answer]);
  }
  try {
    return encodeFrame(MessageType.SnapshotBuilt, 0, ['{"ok":true}', buildSnapshot(frame)]);
  } catch (error) {
    // Whatever went wrong, the app runs without a snapshot; the reason goes to the backend's log.
    return encodeFrame(MessageType.SnapshotBuilt, 0, [
      JSON.stringify({ ok: false, message: String(error) }),
      "",
    ]);
  }
}

// Compiled code that was not run lately would not get into the snapshot.
setEngineFlags();
writeAll(respond());
