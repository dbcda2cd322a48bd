// Draws calls at random from a seed: the same seed gives the same calls.

/** A small generator of numbers in [0, 1) (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const bytes = (...values) => new Uint8Array(values).buffer;

// Edges of each type. Few values, so that equal ones meet.
const EDGES = [
  ...[null, true, false, 0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)],
  ...[0, -0, 1, -1, 0.5, 1e308, 5e-324, Infinity, -Infinity, NaN, 2 ** 53],
  ...["", "a", "a\0", "a\0b", "ab", "b", "\u00e9", "\uffff", "\u{1f600}", "\ufb01", "A"],
  ...[bytes(), bytes(0), bytes(0, 255), bytes(255)],
  ...[[], [null], [1, "a"], [[]], {}, { x: 1 }, { x: 1, y: null }, { y: { x: [1n] } }],
];
// convex-test passes the data of an error through a nested call only if it is JSON already.
const PLAIN = [null, 1, "why", [1], { code: "no" }];
const INDEXES = {
  by_a: ["a", "_creationTime"],
  by_a_b: ["a", "b", "_creationTime"],
  by_b_c_a: ["b", "c", "a", "_creationTime"],
  by_inner: ["d.x", "d.y", "_creationTime"],
  by_creation_time: ["_creationTime"],
};
const COMPARISONS = ["eq", "neq", "lt", "lte", "gt", "gte"];

export class Draw {
  #random;

  constructor(seed) {
    this.#random = seeded(seed);
  }

  below = (count) => Math.floor(this.#random() * count);
  chance = (probability) => this.#random() < probability;
  pick = (items) => items[this.below(items.length)];
  list = (count, draw) => Array.from({ length: count }, draw);
  value = () => (this.chance(0.3) ? this.pick([null, 0, 1, "a", 1n]) : this.pick(EDGES));
  valueOrNone = () => (this.chance(0.15) ? { UNSET: true } : this.value());

  /** One of the documents so far. */
  id = (known) => ({ REF: this.below(known) });
  anyText = (known) => (this.chance(0.2) ? this.pick(["", "nonsense", "\u00e9"]) : this.id(known));

  document() {
    const fields = {
      n: this.below(6) - 2,
      a: this.valueOrNone(),
      b: this.valueOrNone(),
      c: this.valueOrNone(),
    };
    if (this.chance(0.5))
      fields.d = this.chance(0.8) ? { x: this.valueOrNone(), y: this.valueOrNone() } : this.value();
    return fields;
  }

  /** A document of the table `strict`, in one field of three wrong. */
  strictDocument(known) {
    const right = {
      string: this.pick(["", "a", "\u{1f600}\u00e9"]),
      float: this.pick([0, -0, NaN, 1.5]),
      int: this.pick([0n, -(2n ** 63n)]),
      bool: this.chance(0.5),
      nothing: null,
      bytes: bytes(...this.list(this.below(4), () => this.below(256))),
      anything: this.value(),
      literal: this.pick(["red", 7, true]),
      list: this.list(this.below(3), () => this.pick(["x", null])),
      nullable: this.pick([null, 2]),
      record: this.pick([{}, { key: 1, other: NaN }]),
      nested: this.pick([{}, { inner: [] }, { inner: [{ deep: 3n }] }]),
      shape: this.pick([
        { kind: "circle", radius: 1 },
        { kind: "text", text: "t" },
      ]),
    };
    if (this.chance(0.3)) right.maybe = "there";
    if (this.chance(0.5)) return right;
    const name = this.pick(Object.keys(right).filter((key) => key !== "record"));
    if (this.chance(0.2)) return { ...right, unknown: 1 };
    if (this.chance(0.2)) return { ...right, nested: { inner: [{ deep: 3 }] } };
    if (this.chance(0.2)) return { ...right, shape: { kind: "circle", radius: 1, text: "no" } };
    return { ...right, [name]: this.chance(0.2) ? { UNSET: true } : this.value() };
  }

  /** A range that is well formed in nine cases of ten. */
  range(fields, known) {
    const range = [];
    const draw = (field) =>
      field === "_creationTime" && known > 0 ? { TIME: this.below(known) } : this.valueOrNone();
    const equal = this.below(fields.length + 1);
    for (const field of fields.slice(0, equal)) range.push(["eq", field, draw(field)]);
    const next = fields[equal];
    if (next !== undefined && this.chance(0.6)) {
      if (this.chance(0.7)) range.push([this.pick(["gt", "gte"]), next, draw(next)]);
      if (this.chance(0.7)) range.push([this.pick(["lt", "lte"]), next, draw(next)]);
    }
    if (this.chance(0.1)) range.push(["eq", this.pick(["c", "nowhere"]), 1]);
    return range;
  }

  /** A filter whose order comparisons are on ordinary numbers, which convex-test gets right. */
  filter(depth) {
    if (depth > 0 && this.chance(0.5)) {
      const op = this.pick(["and", "or", "not"]);
      return op === "not"
        ? [op, this.filter(depth - 1)]
        : [op, ...this.list(this.below(3), () => this.filter(depth - 1))];
    }
    if (this.chance(0.5))
      return [this.pick(COMPARISONS), ["field", "n"], ["literal", this.below(5) - 2]];
    const field = this.pick(["a", "b", "d.x", "d", "nowhere", "a.x"]);
    return [this.pick(["eq", "neq"]), ["field", field], ["literal", this.valueOrNone()]];
  }

  /** A filter over all types, which the evaluator in oracle.mjs judges. */
  anyFilter(depth) {
    const operand = () => {
      if (this.chance(0.5)) return ["field", this.pick(["n", "a", "b", "d.x", "nowhere"])];
      if (this.chance(0.2)) return ["neg", ["field", "n"]];
      return ["literal", this.valueOrNone()];
    };
    if (depth > 0 && this.chance(0.4)) {
      const op = this.pick(["and", "or", "not"]);
      return op === "not"
        ? [op, this.anyFilter(depth - 1)]
        : [op, this.anyFilter(depth - 1), this.anyFilter(depth - 1)];
    }
    if (this.chance(0.05)) return operand();
    if (this.chance(0.15)) {
      const sum = [this.pick(["add", "sub", "mul", "div", "mod"]), operand(), operand()];
      return [this.pick(COMPARISONS), sum, operand()];
    }
    return [this.pick(COMPARISONS), operand(), operand()];
  }

  source(known) {
    const step = { op: "query", table: "loose" };
    if (this.chance(0.1))
      return { ...step, table: "strict", index: "by_string", range: this.range(["string"], 0) };
    if (this.chance(0.75)) {
      step.index = this.pick(Object.keys(INDEXES));
      step.range = this.range(INDEXES[step.index], known);
    } else if (this.chance(0.3)) step.full = true;
    if (this.chance(0.7)) step.order = this.pick(["asc", "desc"]);
    if (this.chance(0.3)) step.filter = this.filter(2);
    return step;
  }

  query(known) {
    const end = this.pick(["collect", "collect", "take", "first", "unique", "iterate"]);
    if (this.chance(0.05))
      return { op: "query", table: this.pick(["loose", "strict"]), end: "count" };
    return { ...this.source(known), end, count: this.below(5) + (end === "iterate" ? 1 : 0) };
  }

  readStep(known) {
    const kind = known === 0 ? 9 : this.below(10);
    if (kind === 0) return { op: "get", id: this.id(known) };
    if (kind === 1)
      return { op: "getFrom", table: this.pick(["loose", "strict"]), id: this.id(known) };
    if (kind === 2)
      return { op: "normalizeId", table: this.pick(["loose", "strict"]), id: this.anyText(known) };
    if (kind === 3) return { op: "nestedQuery", steps: this.list(2, () => this.query(known)) };
    return this.query(known);
  }

  writeStep(known, depth) {
    const kind = known === 0 ? this.below(5) : this.below(12);
    if (kind <= 3) return { op: "insert", table: "loose", value: this.document() };
    if (kind === 4) return { op: "insert", table: "strict", value: this.strictDocument(known) };
    if (kind === 5) {
      const value = { [this.pick(["a", "b", "c", "d"])]: this.value() };
      // convex-test takes a removed field for an unknown one in a table with a validator.
      const remove = { op: "patch", table: "loose", value: { a: { UNSET: true } } };
      return { ...(this.chance(0.3) ? remove : { op: "patch", value }), id: this.id(known) };
    }
    if (kind === 6) return { op: "replace", id: this.id(known), value: this.document() };
    if (kind === 7) return { op: "delete", id: this.id(known) };
    if (kind === 8) return { op: "copy", id: this.id(known) };
    if (kind === 9 && depth > 0) {
      const nested = { op: "nestedMutation", steps: this.writeSteps(known, depth - 1) };
      return this.chance(0.4) ? { ...nested, fail: this.pick(PLAIN) } : nested;
    }
    return this.readStep(known);
  }

  writeSteps = (known, depth) => this.list(1 + this.below(4), () => this.writeStep(known, depth));

  /** One call of a client: `{kind, ...}`; `known` documents were written before it. */
  call(known) {
    const kind = this.below(20);
    if (kind < 8) {
      const call = { kind: "write", steps: this.writeSteps(known, 2) };
      return this.chance(0.1) ? { ...call, fail: this.value() } : call;
    }
    if (kind < 12) return { kind: "read", steps: this.list(3, () => this.readStep(known)) };
    if (kind === 12 || kind === 13) {
      return {
        kind: "pages",
        step: this.source(0),
        size: 1 + this.below(4),
        change: this.writeSteps(known, 0),
      };
    }
    if (kind === 14)
      return { kind: "filter", filter: this.anyFilter(2), order: this.pick(["asc", "desc"]) };
    if (kind === 15) {
      const parts = this.list(2, () =>
        this.chance(0.5)
          ? { op: "read", args: { steps: [this.readStep(known)] } }
          : {
              op: "write",
              args: { steps: this.writeSteps(known, 1), ...(this.chance(0.3) ? { fail: 1 } : {}) },
            },
      );
      return { kind: "act", parts };
    }
    if (kind === 16)
      return { kind: "schedule", steps: this.writeSteps(known, 0), cancel: this.chance(0.3) };
    if (kind === 17)
      return {
        kind: "typed",
        name: this.pick(["takes", "takesInAction"]),
        value: this.strictDocument(known),
      };
    if (kind === 18) return { kind: "returned", value: this.strictDocument(known) };
    return { kind: "echo", value: this.list(3, this.value) };
  }
}
