/** How many realms a worker keeps, and whose go first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RealmContext } from "../../src/realm_context.ts";
import { WarmBudget } from "../../src/warm/warm_budget.ts";

const LIMITS = { warmRealmsMax: 2, warmRealmBytesMax: 100, warmAfterExecutions: 0 };

/** A bundle whose realms are idle unless they are `taken`. */
class Owner {
  readonly dropped: RealmContext[] = [];
  readonly taken = new Set<RealmContext>();
  readonly #budget: WarmBudget;

  constructor(budget: WarmBudget) {
    this.#budget = budget;
  }

  make(bytes: number): RealmContext {
    const realm = {} as RealmContext;
    this.#budget.add(realm, this, bytes);
    return realm;
  }

  dropIdle(realm: RealmContext): boolean {
    if (this.taken.has(realm)) return false;
    this.dropped.push(realm);
    this.#budget.remove(realm);
    return true;
  }
}

function setUp(): { budget: WarmBudget; one: Owner; other: Owner } {
  const budget = new WarmBudget(() => undefined);
  return { budget, one: new Owner(budget), other: new Owner(budget) };
}

test("the least recently used realm of another bundle makes room", () => {
  const { budget, one, other } = setUp();
  const [first, second] = [one.make(10), one.make(10)];
  assert.ok(second);
  budget.touch(first);
  assert.ok(budget.makeRoom(other, 10, LIMITS));
  assert.deepEqual([one.dropped.length, one.dropped[0] === second], [1, true]);
});

test("a bundle does not throw away its own", () => {
  const { budget, one } = setUp();
  one.make(10);
  one.make(10);
  assert.equal(budget.makeRoom(one, 10, LIMITS), false);
  assert.equal(budget.count, 2);
});

test("a realm that an execution has stays", () => {
  const { budget, one, other } = setUp();
  for (const realm of [one.make(10), one.make(10)]) one.taken.add(realm);
  assert.equal(budget.makeRoom(other, 10, LIMITS), false);
});

test("bytes are bounded as well as the number", () => {
  const { budget, one, other } = setUp();
  one.make(60);
  assert.ok(budget.makeRoom(other, 40, LIMITS));
  assert.equal(budget.count, 1);
  assert.ok(budget.makeRoom(other, 41, LIMITS));
  assert.equal(budget.count, 0);
  assert.equal(budget.makeRoom(other, 101, LIMITS), false);
});

test("a realm that grows beyond the bound of all may not stay", () => {
  const { budget, one } = setUp();
  one.make(60);
  const realm = one.make(10);
  assert.ok(budget.mayGrow(realm, 40, LIMITS));
  assert.equal(budget.mayGrow(realm, 41, LIMITS), false);
});

test("what was used lately stays, unless realms are made for every execution", () => {
  const { budget, one, other } = setUp();
  one.make(10);
  one.make(10);
  assert.equal(budget.makeRoom(other, 10, { ...LIMITS, warmAfterExecutions: 1 }), false);
});
