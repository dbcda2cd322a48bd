/**
 * Large packages behind web APIs, and our own code on top of them. They are scripts of their own,
 * so that contexts which never use them carry nothing of them; the worker hands one over when its
 * first API is used.
 */
import type { VendorName } from "./host_interface.ts";
import { NativeError } from "./primordials.ts";
import { runtimeFace } from "./runtime_face.ts";
import type { RuntimeFace } from "./runtime_face.ts";
import { callHost, realm } from "./state.ts";

export interface Vendors {
  url: typeof import("./vendor/url.ts");
  idna: typeof import("./vendor/idna.ts");
  encoding: typeof import("./vendor/encoding.ts");
  clone: typeof import("./vendor/clone.ts");
  streams: typeof import("./vendor/streams.ts");
  fetch: typeof import("./vendor/fetch.ts");
  subtle: typeof import("./vendor/subtle.ts");
  multibyte: typeof import("./vendor/multibyte.ts");
}

/** Value of a vendor script: gives its exports. */
export type VendorThunk = (runtime: RuntimeFace) => unknown;

/** Present while a snapshot is built: there is no worker to ask then. */
let offered: Partial<Record<VendorName, VendorThunk>> = {};
const loaded: Partial<Vendors> = {};
const loading = new Set<VendorName>();

/** Whether its code is being evaluated: what it brings does not exist yet. */
export function isVendorLoading(name: VendorName): boolean {
  return loading.has(name);
}

export function offerVendors(thunks: Partial<Record<VendorName, VendorThunk>>): void {
  offered = thunks;
}

/** The worker's answer to the request that `loadVendor` is waiting for. */
export function receiveVendor(name: VendorName, thunk: VendorThunk): void {
  offered[name] = thunk;
}

export function loadVendor<N extends VendorName>(name: N): Vendors[N] {
  const known = loaded[name];
  if (known !== undefined) return known;
  // Packages that realms for many executions may use are there before their guard.
  realm.guard?.fault(`use of the ${name} package`);
  if (offered[name] === undefined) callHost("fenchel/vendor", name);
  const thunk = offered[name];
  if (thunk === undefined) throw new NativeError(`The runtime's ${name} package is missing`);
  delete offered[name];
  loading.add(name);
  try {
    const exports = runUnseen(thunk) as Vendors[N];
    loaded[name] = exports;
    return exports;
  } finally {
    loading.delete(name);
  }
}

/**
 * core-js draws a number and looks at the clock when it loads, which must neither show in the
 * execution nor shift its stream.
 */
function runUnseen(thunk: VendorThunk): unknown {
  const { random } = Math;
  const { execution } = realm;
  const observedTime = execution?.observedTime === true;
  Math.random = () => 0;
  try {
    return thunk(runtimeFace);
  } finally {
    Math.random = random;
    if (execution !== null) execution.observedTime = observedTime;
  }
}
