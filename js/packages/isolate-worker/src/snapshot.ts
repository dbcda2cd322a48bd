/**
 * The scripts that make a realm, and V8 snapshots of them. A snapshot file is the nonce (text of
 * fixed length) and three fields, each behind its length: the script for warm realms, V8's blob, and
 * V8's blob for HTTP actions, which is empty for an app without them.
 */
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { Command, HTTP_MODULE, VENDOR_NAMES } from "../../udf-runtime/src/host_interface.ts";
import type { VendorName } from "../../udf-runtime/src/host_interface.ts";
import { ExternalCopy, Isolate } from "./isolated_vm.ts";
import type { Snapshot } from "./isolated_vm.ts";
import { configuration } from "./protocol.ts";
import type { BundleHeader } from "./protocol.ts";
import type { CallArgument } from "./realm_context.ts";

export const APP_FILE = "convex:/app.js";
export const RUNTIME_FILE = "convex:/udf-runtime.js";
/** The app's script as warm realms run it; its lines are those of APP_FILE. */
export const WARM_FILE = "convex:/warm.js";
export const GUARD_FILE = "convex:/udf-guard.js";

const NONCE_PLACEHOLDER = "__FENCHEL_NONCE__";
const NONCE_LENGTH = 32;
const LENGTH_BYTES = 4;

declare const __dirname: string;

const runtimeSource = fs.readFileSync(path.join(__dirname, "udf-runtime.js"), "utf8");

const vendorSources = new Map<VendorName, string>();

/** Text of a script whose value is a thunk of the package's exports. */
export function vendorSource(name: VendorName): string {
  let source = vendorSources.get(name);
  if (source === undefined) {
    source = fs.readFileSync(path.join(__dirname, `udf-vendor-${name}.js`), "utf8");
    vendorSources.set(name, source);
  }
  return source;
}

/** Text of a script whose value is a thunk that installs the guard. */
export function guardSource(): string {
  return fs.readFileSync(path.join(__dirname, "udf-guard.js"), "utf8");
}

/** Names everything that a snapshot may contain besides the app. */
export function runtimeDigest(): string {
  const hash = crypto.createHash("sha256").update(runtimeSource).update(guardSource());
  for (const name of VENDOR_NAMES) hash.update(vendorSource(name));
  return hash.digest("hex");
}

/** Calls of the realm function, in order. */
export type Rehearsal = [command: number, ...args: CallArgument[]][];

export interface RealmSnapshot {
  nonce: string;
  snapshot: Snapshot;
}

function createNonce(): string {
  return crypto.randomBytes(NONCE_LENGTH / 2).toString("hex");
}

function runtimeScript(nonce: string): { code: string; filename: string } {
  return { code: runtimeSource.replace(NONCE_PLACEHOLDER, nonce), filename: RUNTIME_FILE };
}

/** A snapshot with the runtime only: contexts made from it evaluate the app themselves. */
export function createRuntimeSnapshot(): RealmSnapshot {
  const nonce = createNonce();
  return { nonce, snapshot: Isolate.createSnapshot([runtimeScript(nonce)]) };
}

/**
 * Bytes of a snapshot with the runtime and the evaluated app, and the script for warm realms (JSON
 * or ""). It also holds the compiled code of what `rehearsal` calls. May crash the process or run
 * for ever: run it in its own.
 */
export function createAppSnapshot(
  header: BundleHeader,
  script: string,
  warmJson: string,
  rehearsal: Rehearsal,
): Buffer {
  const nonce = createNonce();
  const hasHttpActions = header.modules.includes(HTTP_MODULE);
  return Buffer.concat([
    Buffer.from(nonce, "latin1"),
    encodeField(Buffer.from(warmJson)),
    encodeField(createBlob(nonce, header, script, [], rehearsal)),
    // Apart, because the packages behind `Request` and `Response` make each context dearer.
    encodeField(
      hasHttpActions
        ? createBlob(nonce, header, script, [Command.PrepareHttpActions], [])
        : Buffer.alloc(0),
    ),
  ]);
}

function encodeField(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Long chains of reactions are left where they are. */
const REACTIONS_MAX = 64;

/** Script that calls the realm as in the rehearsal, with the reactions that follow each call. */
function rehearsalScript(claim: string, rehearsal: Rehearsal): string {
  return `(async (realm, calls) => {
    for (const call of calls) {
      try { realm(...call); } catch {}
      for (let index = 0; index < ${REACTIONS_MAX}; index++) await null;
    }
  })(${claim}, ${JSON.stringify(rehearsal)});`;
}

/** V8's blob. `extra` commands run when the app is there. */
function createBlob(
  nonce: string,
  header: BundleHeader,
  script: string,
  extra: number[],
  rehearsal: Rehearsal,
): Buffer {
  const configure = configuration(header).map((arg) => JSON.stringify(arg));
  const claim = `__fenchelClaim(${JSON.stringify(nonce)})`;
  const vendors = VENDOR_NAMES.map((name) => `${name}: ${vendorSource(name)}`);
  const scripts = [
    runtimeScript(nonce),
    { code: `${claim}(${Command.OfferVendors}, {${vendors.join(", ")}})`, filename: RUNTIME_FILE },
    { code: `${claim}(${Command.Configure}, ${configure.join(", ")})`, filename: RUNTIME_FILE },
    { code: script, filename: APP_FILE },
    ...[Command.EvaluateModules, ...extra].map((command) => ({
      code: `${claim}(${command})`,
      filename: RUNTIME_FILE,
    })),
    // What no module used is unreachable from here on and stays out of the snapshot.
    { code: `${claim}(${Command.FinishSnapshot})`, filename: RUNTIME_FILE },
  ];
  // The engine runs the scripts in a second context, too, and the rehearsal only there: what it
  // compiles belongs to both, what it leaves behind is thrown away.
  const snapshot =
    rehearsal.length > 0
      ? Isolate.createSnapshot(scripts, rehearsalScript(claim, rehearsal))
      : Isolate.createSnapshot(scripts);
  return Buffer.from(snapshot.copy());
}

export interface AppSnapshot {
  realm: RealmSnapshot;
  /** With what HTTP actions use; null for an app without them. */
  httpRealm: RealmSnapshot | null;
  warmJson: string;
}

export function decodeAppSnapshot(bytes: Buffer): AppSnapshot {
  const nonce = bytes.toString("latin1", 0, NONCE_LENGTH);
  let offset = NONCE_LENGTH;
  const nextField = (): Buffer => {
    const start = offset + LENGTH_BYTES;
    offset = start + bytes.readUInt32LE(offset);
    return bytes.subarray(start, offset);
  };
  const realmOf = (blob: Buffer): RealmSnapshot => ({
    nonce,
    snapshot: new ExternalCopy(new Uint8Array(blob).buffer),
  });
  const warmJson = nextField().toString("utf8");
  const realm = realmOf(nextField());
  const http = nextField();
  return { realm, httpRealm: http.length === 0 ? null : realmOf(http), warmJson };
}
