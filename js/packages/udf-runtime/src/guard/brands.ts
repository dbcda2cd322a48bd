/** Tells objects with hidden state that cannot be frozen from all others, whatever they look like. */
import { fault, getOwnPropertyDescriptor, getPrototypeOf, reflectApply } from "./state.ts";

type Native = (...args: unknown[]) => unknown;

const getter = (owner: object, name: PropertyKey): Native =>
  getOwnPropertyDescriptor(owner, name)?.get as Native;
const method = (owner: object, name: PropertyKey): Native =>
  getOwnPropertyDescriptor(owner, name)?.value as Native;

const prototypeOf = (value: object): object => getPrototypeOf(value) as object;

export const arrayIterator = prototypeOf([][Symbol.iterator]());
const generator = prototypeOf(function* () {}.prototype as object);
const asyncGenerator = prototypeOf(async function* () {}.prototype as object);
export const asyncIterator = prototypeOf(asyncGenerator);
const typedArray = prototypeOf(Uint8Array.prototype);
const segments = new Intl.Segmenter().segment("");

/** Intrinsics to which no property leads from the global object. */
export const HIDDEN_INTRINSICS: readonly object[] = [
  function* () {},
  async function () {},
  async function* () {},
  arrayIterator,
  prototypeOf(new Map().entries()),
  prototypeOf(new Set().entries()),
  prototypeOf(""[Symbol.iterator]()),
  prototypeOf("".matchAll(/a/g)),
  prototypeOf([].values().map(() => 0)),
  prototypeOf(Iterator.from({ next: () => ({ done: true, value: 0 }) })),
  prototypeOf(segments),
  prototypeOf(segments[Symbol.iterator]()),
  getter(strictArguments(), "callee"),
  getter(new Error(), "stack"),
  getOwnPropertyDescriptor(new Error(), "stack")?.set as object,
].map(prototypeOfSample);

function strictArguments(): object {
  return arguments;
}

/** Of a function sample, only what it inherits from is shared. */
function prototypeOfSample(sample: object, index: number): object {
  return index < 3 ? prototypeOf(sample) : sample;
}

interface Probe {
  state: string;
  /** Throws unless its receiver has that state. */
  native: Native;
}

/** None of these runs user code. */
const PROBES: Probe[] = [
  { state: "Date", native: method(Date.prototype, "getTime") },
  { state: "ArrayBuffer", native: getter(ArrayBuffer.prototype, "byteLength") },
  { state: "SharedArrayBuffer", native: getter(SharedArrayBuffer.prototype, "byteLength") },
  { state: "DataView", native: getter(DataView.prototype, "buffer") },
  { state: "Map Iterator", native: method(prototypeOf(new Map().entries()), "next") },
  { state: "Set Iterator", native: method(prototypeOf(new Set().entries()), "next") },
  { state: "String Iterator", native: method(prototypeOf(""[Symbol.iterator]()), "next") },
  { state: "Segment Iterator", native: method(prototypeOf(segments[Symbol.iterator]()), "next") },
  { state: "DisposableStack", native: getter(DisposableStack.prototype, "disposed") },
  { state: "AsyncDisposableStack", native: getter(AsyncDisposableStack.prototype, "disposed") },
  ...["Collator", "DateTimeFormat", "DisplayNames", "DurationFormat", "ListFormat"].map(intlProbe),
  ...["NumberFormat", "PluralRules", "RelativeTimeFormat", "Segmenter"].map(intlProbe),
];

function intlProbe(name: string): Probe {
  const constructors = Intl as unknown as Record<string, { prototype: object }>;
  const { prototype } = constructors[name] as { prototype: object };
  return { state: `Intl.${name}`, native: method(prototype, "resolvedOptions") };
}

/** Call before the app is evaluated: `native` throws unless its receiver has that state. */
export function addProbe(state: string, native: unknown): void {
  PROBES.push({ state, native: native as Native });
}

const NativeError = Error;
const { isError } = Error as unknown as { isError: (value: unknown) => boolean };
const typedArrayTag = getter(typedArray, Symbol.toStringTag);
const regExpSource = getter(RegExp.prototype, "source");
const nextOfGenerator = method(generator, "next");
const nextOfAsyncGenerator = method(asyncGenerator, "next");
const nativeThen = method(Promise.prototype, "then");
const ignore = (): void => {};

/** What keeps the object from being frozen for good, or null. */
export function findHiddenState(object: object): string | null {
  if (isError(object)) return "Error";
  const tag = reflectApply(typedArrayTag, object, []) as string | undefined;
  if (tag !== undefined) return tag;
  for (let index = 0; index < PROBES.length; index++) {
    const { state, native } = PROBES[index] as Probe;
    if (succeeds(native, object)) return state;
  }
  for (let index = 0; index < CAREFUL_PROBES.length; index++) {
    const probe = CAREFUL_PROBES[index] as CarefulProbe;
    if (!isRefused(probe, object)) return probe.state;
  }
  // A generator begins to run, which the guard notices; others refuse.
  succeeds(nextOfGenerator, object);
  const answer = reflectApply(nextOfAsyncGenerator, object, []);
  reflectApply(nativeThen, answer, [ignore, ignore]);
  return null;
}

export function isRegExp(object: object): boolean {
  return succeeds(regExpSource, object);
}

function succeeds(native: Native, object: object): boolean {
  try {
    reflectApply(native, object, []);
    return true;
  } catch {
    return false;
  }
}

// --- Natives that may run user code when they do not refuse, which may then throw what it likes ---

interface CarefulProbe extends Probe {
  /** Where the probe's own frame is in the stack of the engine's refusal. */
  depth: number;
}

const CAREFUL_PROBES: readonly CarefulProbe[] = [
  { state: "Promise", native: nativeThen, depth: -1 },
  { state: "Array Iterator", native: method(arrayIterator, "next"), depth: -1 },
];

interface Site {
  getFunctionName(): string | null;
}

let siteOf: ((site: Site) => string | null) | null = null;

/** Whether the engine itself refused: the error was made by the call from here, without a frame between. */
function isRefused({ native, depth }: CarefulProbe, object: object): boolean {
  try {
    probeCarefully(native, object);
    return false;
  } catch (error) {
    return isError(error) && depthOfProbe(error as Error) === depth;
  }
}

function probeCarefully(native: Native, object: object): void {
  reflectApply(native, object, []);
}

/** Index of the probe's own frame in the stack of an error, -1 when it has another kind of stack. */
function depthOfProbe(error: Error): number {
  const sites = error.stack as unknown as Site[];
  try {
    for (let index = 0; index < 3; index++) {
      const name = reflectApply(siteOf as Native, sites[index], []);
      if (name === "probeCarefully") return index;
    }
  } catch {
    fault("a forged stack");
  }
  return -1;
}

/** Prepares the probes. Call while `Error.prepareStackTrace` hands out call sites. */
export function calibrateProbes(): void {
  const sites = new NativeError().stack as unknown as Site[];
  siteOf = method(prototypeOf(sites[0] as object), "getFunctionName") as typeof siteOf;
  for (let index = 0; index < CAREFUL_PROBES.length; index++) {
    const probe = CAREFUL_PROBES[index] as CarefulProbe;
    try {
      probeCarefully(probe.native, {});
    } catch (error) {
      probe.depth = depthOfProbe(error as Error);
    }
    if (probe.depth === -1) fault("probes that do not work in this engine");
  }
}
