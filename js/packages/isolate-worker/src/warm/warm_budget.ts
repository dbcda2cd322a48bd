/**
 * How many warm realms a worker has and how much memory they take, whichever bundles they belong to.
 *
 * Invariant: holds every warm realm, idle or taken, from when it is made until it is thrown away.
 */
import type { BundleHeader } from "../protocol.ts";
import type { RealmContext } from "../realm_context.ts";

/** A realm that ran nothing for so long may have to make room for one of another bundle. */
const UNUSED_MS = 10_000;

export type WarmLimits = Pick<
  BundleHeader,
  "warmRealmsMax" | "warmRealmBytesMax" | "warmAfterExecutions"
>;

export interface RealmOwner {
  /** Throws the realm away; false if an execution has it. */
  dropIdle(realm: RealmContext): boolean;
}

interface Entry {
  owner: RealmOwner;
  bytes: number;
  usedMs: number;
}

export class WarmBudget {
  /** Called before a realm is made ahead of its use. */
  readonly onPrepare: () => void;
  readonly #entries = new Map<RealmContext, Entry>();

  constructor(onPrepare: () => void) {
    this.onPrepare = onPrepare;
  }

  get bytes(): number {
    return [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get count(): number {
    return this.#entries.size;
  }

  add(realm: RealmContext, owner: RealmOwner, bytes: number): void {
    this.#entries.set(realm, { owner, bytes, usedMs: performance.now() });
  }

  remove(realm: RealmContext): void {
    this.#entries.delete(realm);
  }

  touch(realm: RealmContext): void {
    const entry = this.#entries.get(realm);
    if (entry !== undefined) entry.usedMs = performance.now();
  }

  /** The realm has grown. Whether all together still have room. */
  mayGrow(realm: RealmContext, bytes: number, limits: WarmLimits): boolean {
    const entry = this.#entries.get(realm);
    if (entry !== undefined) entry.bytes = bytes;
    return this.bytes <= limits.warmRealmBytesMax;
  }

  /**
   * Whether `owner` may have one more of `bytes`: throws those away that others have not used
   * lately, the least recently used first.
   */
  makeRoom(owner: RealmOwner, bytes: number, limits: WarmLimits): boolean {
    const { warmRealmsMax, warmRealmBytesMax, warmAfterExecutions } = limits;
    if (bytes > warmRealmBytesMax) return false;
    const unusedMs = warmAfterExecutions === 0 ? 0 : UNUSED_MS;
    while (this.count >= warmRealmsMax || this.bytes + bytes > warmRealmBytesMax) {
      if (!this.#dropLeastUsed(owner, performance.now() - unusedMs)) return false;
    }
    return true;
  }

  #dropLeastUsed(asking: RealmOwner, usedBeforeMs: number): boolean {
    const unused = [...this.#entries]
      .filter(([, { owner, usedMs }]) => owner !== asking && usedMs <= usedBeforeMs)
      .toSorted(([, left], [, right]) => left.usedMs - right.usedMs);
    return unused.some(([realm, { owner }]) => owner.dropIdle(realm));
  }
}
