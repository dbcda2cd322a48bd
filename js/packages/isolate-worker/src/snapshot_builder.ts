/**
 * Process that builds one app snapshot: a frame in on stdin, a frame out on stdout. It may crash or
 * be killed.
 */
import fs from "node:fs";
import { checkFrameLength, decodeFrameBody, encodeFrame } from "./frames.ts";
import { MessageType } from "./protocol.ts";
import type { BundleHeader } from "./protocol.ts";
import { createAppSnapshot } from "./snapshot.ts";
import { instrument } from "./warm/instrument.ts";

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

function build(): Buffer {
  const length = readExactly(4).readUInt32LE(0);
  checkFrameLength(length);
  const frame = decodeFrameBody(readExactly(length));
  const [header, script] = frame.fields;
  if (frame.type !== MessageType.BuildSnapshot || header === undefined || script === undefined) {
    throw new Error("Not a snapshot request");
  }
  const bundle = JSON.parse(header.toString("utf8")) as BundleHeader;
  const text = script.toString("utf8");
  return createAppSnapshot(bundle, text, bundle.warmRealmsMax === 0 ? "" : warmJson(text));
}

/** The script for warm realms, or "" when this app cannot run in them. */
function warmJson(script: string): string {
  try {
    return JSON.stringify(instrument(script));
  } catch (error) {
    // Unproven, or a parser that gave up: no error of the app, which then always runs fresh.
    console.error(`no warm realms reason=${String(error)}`);
    return "";
  }
}

function respond(): Buffer {
  try {
    return encodeFrame(MessageType.SnapshotBuilt, 0, ['{"ok":true}', build()]);
  } catch (error) {
    // Whatever went wrong, the app runs without a snapshot; the reason goes to the backend's log.
    return encodeFrame(MessageType.SnapshotBuilt, 0, [
      JSON.stringify({ ok: false, message: String(error) }),
      "",
    ]);
  }
}

writeAll(respond());
