/**
 * The scripts that make a realm, and V8 snapshots of them. A snapshot file is the nonce (text of
 * fixed length), the length of the script for warm realms and that script, and V8's blob.
 */
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { Command, VENDOR_NAMES } from "../../udf-runtime/src/host_interface.ts";
import type { VendorName } from "../../udf-runtime/src/host_interface.ts";
import { ExternalCopy, Isolate } from "./isolated_vm.ts";
import type { Snapshot } from "./isolated_vm.ts";
import type { BundleHeader } from "./protocol.ts";

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
 * or ""). May crash the process: run it in its own.
 */
export function createAppSnapshot(header: BundleHeader, script: string, warmJson: string): Buffer {
  const nonce = createNonce();
  const { importSeed, importUnixMs, env } = header;
  const configure = [importSeed, importUnixMs, JSON.stringify(env)].map((arg) =>
    JSON.stringify(arg),
  );
  const claim = `__fenchelClaim(${JSON.stringify(nonce)})`;
  const vendors = VENDOR_NAMES.map((name) => `${name}: ${vendorSource(name)}`);
  const snapshot = Isolate.createSnapshot([
    runtimeScript(nonce),
    { code: `${claim}(${Command.OfferVendors}, {${vendors.join(", ")}})`, filename: RUNTIME_FILE },
    { code: `${claim}(${Command.Configure}, ${configure.join(", ")})`, filename: RUNTIME_FILE },
    { code: script, filename: APP_FILE },
    { code: `${claim}(${Command.EvaluateModules})`, filename: RUNTIME_FILE },
    // What no module used is unreachable from here on and stays out of the snapshot.
    { code: `${claim}(${Command.FinishSnapshot})`, filename: RUNTIME_FILE },
  ]);
  const warm = Buffer.from(warmJson);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(warm.length);
  const blob = Buffer.from(snapshot.copy());
  return Buffer.concat([Buffer.from(nonce, "latin1"), length, warm, blob]);
}

export interface AppSnapshot {
  realm: RealmSnapshot;
  warmJson: string;
}

export function decodeAppSnapshot(bytes: Buffer): AppSnapshot {
  const nonce = bytes.toString("latin1", 0, NONCE_LENGTH);
  const start = NONCE_LENGTH + LENGTH_BYTES;
  const end = start + bytes.readUInt32LE(NONCE_LENGTH);
  const blob = new Uint8Array(bytes.subarray(end)).buffer;
  const realm = { nonce, snapshot: new ExternalCopy(blob) };
  return { realm, warmJson: bytes.toString("utf8", start, end) };
}
