// What a filter means, for the parts where convex-test compares as JavaScript does.
import { compareValues } from "convex/values";

const COMPARE = {
  eq: (order) => order === 0,
  neq: (order) => order !== 0,
  lt: (order) => order < 0,
  lte: (order) => order <= 0,
  gt: (order) => order > 0,
  gte: (order) => order >= 0,
};
const NUMBERS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  mod: (a, b) => a % b,
};

function readField(document, path) {
  let value = document;
  for (const part of path.split(".")) {
    const isObject =
      value !== null &&
      typeof value === "object" &&
      Object.getPrototypeOf(value) === Object.prototype;
    value = isObject ? value[part] : undefined;
  }
  return value;
}

function arithmetic(op, operands) {
  const [first] = operands;
  const isInt = typeof first === "bigint";
  if (
    !operands.every((value) => typeof value === typeof first) ||
    !(isInt || typeof first === "number")
  ) {
    throw new Error("operands of arithmetic must both be float64 or both int64");
  }
  const result = op === "neg" ? -first : NUMBERS[op](...operands);
  if (isInt && BigInt.asIntN(64, result) !== result) throw new Error("out of range for Int64");
  // The sign of a calculated NaN, by which values are ordered, changes when V8 optimises the code.
  return Number.isNaN(result) && op !== "neg" ? NaN : result;
}

function asBoolean(value) {
  if (typeof value !== "boolean") throw new Error("not a Boolean");
  return value;
}

function evaluate([op, ...operands], document) {
  if (op === "field") return readField(document, operands[0]);
  if (op === "literal") {
    const [literal] = operands;
    return literal !== null && typeof literal === "object" && "UNSET" in literal
      ? undefined
      : literal;
  }
  if (op === "and") return operands.every((operand) => asBoolean(evaluate(operand, document)));
  if (op === "or") return operands.some((operand) => asBoolean(evaluate(operand, document)));
  const values = operands.map((operand) => evaluate(operand, document));
  if (op === "not") return !asBoolean(values[0]);
  if (op in COMPARE) return COMPARE[op](compareValues(...values));
  return arithmetic(op, values);
}

/** Whether the filter keeps the document; throws where the filter is an error. */
export function keeps(filter, document) {
  return asBoolean(evaluate(filter, document));
}
