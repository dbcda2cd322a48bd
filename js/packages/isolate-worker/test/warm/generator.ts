/**
 * Random small programs over everything that may hold state: what they do in realms for many
 * executions must be what they do in fresh contexts. A seed gives the same programs each time.
 */
import { SHARED_WEB_APIS } from "../../../udf-runtime/src/host_interface.ts";
import { program } from "./program.ts";
import type { Program } from "./program.ts";
import { CODE_KINDS } from "./random/code_kinds.ts";
import { CONVEX_KINDS } from "./random/convex_kinds.ts";
import { DATA_KINDS } from "./random/data_kinds.ts";
import type { Kind } from "./random/kind.ts";
import { SHARED_LATER, SHARED_USES, SHARED_WRITES } from "./random/shared_uses.ts";
import { ENDING_WRAPS, LATER_WRAPS, NATIVE, PAIRS, WRAPS } from "./random/wraps.ts";

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to below `limit` (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** True once in so many times. */
  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

const KINDS: readonly Kind[] = [...DATA_KINDS, ...CODE_KINDS];
/** Realms of apps that name these take twice as long to make. */
const WEB_API = new RegExp(`\\b(${SHARED_WEB_APIS.join("|")})\\b`);
const PLAIN_KINDS = KINDS.filter(({ use }) => !use.every((text) => WEB_API.test(text))).filter(
  ({ declare }) => !declare.every((text) => WEB_API.test(text)),
);

const SHOW = `const show = (v, depth = 0) => {
  if (typeof v === "function") return "function " + v.name + v.length;
  if (typeof v === "symbol" || typeof v === "bigint" || v === undefined) return String(v);
  if (typeof v === "number") return Object.is(v, -0) ? "-0" : String(v);
  if (v === null || typeof v !== "object") return JSON.stringify(v);
  if (v instanceof Error) return v.name + ": " + v.message;
  if (depth > 3) return "…";
  if (v instanceof Map || v instanceof Set) return v.constructor.name + show([...v], depth + 1);
  return (Array.isArray(v) ? "" : Object.prototype.toString.call(v)) + "{" +
    Reflect.ownKeys(v).map((k) => String(k) + ":" + show(v[k], depth + 1)).join() + "}";
};`;

const fill = (template: string, mark: string, text: string): string =>
  template.split(mark).join(text);

/** One program: what its module holds, and statements of its function. */
class Writer {
  readonly #random: Random;
  readonly #kinds: readonly Kind[];
  readonly #usesWebApis: boolean;
  /** Whether it may do what warm realms give up; the others show more, for they run to the end. */
  readonly #isWild: boolean;

  constructor(random: Random, kinds: readonly Kind[], usesWebApis: boolean) {
    this.#random = random;
    this.#kinds = kinds;
    this.#usesWebApis = usesWebApis;
    this.#isWild = random.isOneIn(8);
  }

  declarations(): string {
    return this.#kinds
      .map(({ declare }, index) => fill(this.#pick(declare), "@", `s${index}`))
      .join("\n");
  }

  /** One that is allowed here. */
  #pick(texts: readonly string[]): string {
    for (;;) {
      const text = this.#random.pick(texts);
      if (this.#usesWebApis || !WEB_API.test(text)) return text;
    }
  }

  statement(place: number): string {
    const random = this.#random;
    if (this.#isWild && random.isOneIn(8)) {
      const state = `s${random.below(this.#kinds.length)}`;
      return fill(fill(random.pick(NATIVE), "@", state), "$", String(place));
    }
    if (random.isOneIn(5)) {
      const wrap = fill(random.pick(LATER_WRAPS), "$", String(place));
      return fill(wrap, "%", this.#choose("later", SHARED_LATER));
    }
    const wraps = random.isOneIn(100) ? ENDING_WRAPS : WRAPS;
    return fill(this.#pick(wraps), "%", this.#expression(2));
  }

  /** An expression of at most 2 ** depth uses. */
  #expression(depth: number): string {
    if (depth > 0 && this.#random.isOneIn(4)) {
      const pair = this.#random.pick(PAIRS);
      return pair(this.#expression(depth - 1), this.#expression(depth - 1));
    }
    return this.#isWild && this.#random.isOneIn(2)
      ? this.#choose("write", SHARED_WRITES)
      : this.#choose("use", SHARED_USES);
  }

  /** Of one of the kinds, or of what all share. */
  #choose(field: "use" | "write" | "later", shared: readonly string[]): string {
    const index = this.#random.below(this.#kinds.length);
    const own = this.#kinds[index]?.[field] ?? [];
    if (own.length === 0 || this.#random.isOneIn(4)) return this.#pick(shared);
    return fill(this.#pick(own), "@", `s${index}`);
  }
}

/** What the programs of a bundle are about; "convex": it has the package's exports as `convex`. */
export type Theme = "language" | "webApis" | "convex";

const KINDS_OF: Readonly<Record<Theme, readonly Kind[]>> = {
  language: PLAIN_KINDS,
  webApis: KINDS,
  convex: CONVEX_KINDS,
};

export function generate(random: Random, name: string, theme: Theme): Program {
  const kinds = Array.from({ length: 1 + random.below(4) }, () => random.pick(KINDS_OF[theme]));
  const writer = new Writer(random, kinds, theme === "webApis");
  const declarations = writer.declarations();
  const count = 1 + random.below(6);
  const statements = Array.from({ length: count }, (_, place) => writer.statement(place));
  const ends = ["return out;", "return out;", "return out;", "throw new Error(show(out));"];
  const run = `const out = []; ${SHOW}\n${statements.join("\n")}\n${random.pick(ends)}`;
  return program(name, declarations, run);
}
