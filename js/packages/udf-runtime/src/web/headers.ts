/** `Headers` (Fetch standard), without the lists of names that only browsers forbid. */
import { createPairIterator, finishInterface, requireArguments, toByteString } from "./web_idl.ts";

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[^\0\r\n]*$/;

type Pair = [name: string, value: string];

/** Set by the class: turns headers of received messages unchangeable. */
export let freezeHeaders: (headers: Headers) => Headers;
/** Pairs as they go over the wire: sorted, `set-cookie` one by one. */
export let pairsOfHeaders: (headers: Headers) => Pair[];

function toName(value: unknown): string {
  const text = toByteString(value);
  if (!TOKEN.test(text)) throw new TypeError(`Invalid header name: "${text}"`);
  return text.toLowerCase();
}

function toValue(name: string, value: string): string {
  const text = value.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (!VALUE.test(text)) throw new TypeError(`Invalid value for the header "${name}"`);
  return text;
}

/** The pairs of any `HeadersInit`. */
function toPairs(init: unknown): [unknown, unknown][] {
  if (init === null || (typeof init !== "object" && typeof init !== "function")) {
    throw new TypeError("Headers must be built from an object, pairs, or Headers");
  }
  const iterate = (init as Partial<Iterable<unknown>>)[Symbol.iterator];
  if (iterate === undefined || iterate === null) return pairsOfRecord(init);
  const pairs: [unknown, unknown][] = [];
  for (const item of init as Iterable<unknown>) {
    const isObject = typeof item === "object" && item !== null;
    const pair = isObject ? [...(item as Iterable<unknown>)] : [];
    if (pair.length !== 2) throw new TypeError("Each header must be a pair of name and value");
    pairs.push(pair as [unknown, unknown]);
  }
  return pairs;
}

function pairsOfRecord(record: object): [string, string][] {
  const pairs = new Map<string, string>();
  for (const key of Reflect.ownKeys(record)) {
    const descriptor = Reflect.getOwnPropertyDescriptor(record, key);
    if (descriptor?.enumerable !== true) continue;
    if (typeof key === "symbol") throw new TypeError("A symbol cannot name a header");
    const name = toByteString(key);
    pairs.set(name, toByteString(Reflect.get(record, key)));
  }
  return [...pairs];
}

export class Headers {
  /** Lower-case name to its values, in order of insertion. */
  readonly #values = new Map<string, string[]>();
  /** Cleared by every change. */
  #sorted: Pair[] | null = null;
  #isImmutable = false;

  constructor(init?: unknown) {
    if (init === undefined) return;
    if (init instanceof Headers && init[Symbol.iterator] === Headers.prototype.entries) {
      for (const [name, values] of init.#values) this.#values.set(name, [...values]);
      return;
    }
    for (const [name, value] of toPairs(init)) this.append(name, value);
  }

  append(name: unknown, value: unknown): void {
    requireArguments(arguments.length, 2, "Headers.append");
    const [key, text] = this.#entry(name, value);
    const values = this.#values.get(key);
    if (values === undefined) this.#values.set(key, [text]);
    else values.push(text);
  }

  delete(name: unknown): void {
    requireArguments(arguments.length, 1, "Headers.delete");
    const key = toName(name);
    this.#change();
    this.#values.delete(key);
  }

  get(name: unknown): string | null {
    requireArguments(arguments.length, 1, "Headers.get");
    return this.#values.get(toName(name))?.join(", ") ?? null;
  }

  getSetCookie(): string[] {
    return [...(this.#values.get("set-cookie") ?? [])];
  }

  has(name: unknown): boolean {
    requireArguments(arguments.length, 1, "Headers.has");
    return this.#values.has(toName(name));
  }

  set(name: unknown, value: unknown): void {
    requireArguments(arguments.length, 2, "Headers.set");
    const [key, text] = this.#entry(name, value);
    this.#values.set(key, [text]);
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void, self?: unknown): void {
    requireArguments(arguments.length, 1, "Headers.forEach");
    if (typeof callback !== "function") throw new TypeError("The callback is not a function");
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  entries(): IterableIterator<Pair> {
    return createPairIterator("Headers", (index) => {
      const pair = this.#pairs()[index];
      return pair && [pair[0], pair[1]];
    });
  }

  keys(): IterableIterator<string> {
    return createPairIterator("Headers", (index) => this.#pairs()[index]?.[0]);
  }

  values(): IterableIterator<string> {
    return createPairIterator("Headers", (index) => this.#pairs()[index]?.[1]);
  }

  declare [Symbol.iterator]: () => IterableIterator<Pair>;

  #entry(name: unknown, value: unknown): Pair {
    const text = toByteString(value);
    const key = toName(name);
    const entry: Pair = [key, toValue(key, text)];
    this.#change();
    return entry;
  }

  #change(): void {
    if (this.#isImmutable) throw new TypeError("These headers cannot be changed");
    this.#sorted = null;
  }

  #pairs(): Pair[] {
    if (this.#sorted !== null) return this.#sorted;
    const pairs: Pair[] = [];
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name) ?? [];
      if (name === "set-cookie") for (const value of values) pairs.push([name, value]);
      else pairs.push([name, values.join(", ")]);
    }
    return (this.#sorted = pairs);
  }

  static {
    freezeHeaders = (headers) => {
      headers.#isImmutable = true;
      return headers;
    };
    pairsOfHeaders = (headers) => headers.#pairs();
  }
}

Object.defineProperty(Headers.prototype, Symbol.iterator, {
  value: Headers.prototype.entries,
  writable: true,
  configurable: true,
});
finishInterface(Headers, "Headers");
