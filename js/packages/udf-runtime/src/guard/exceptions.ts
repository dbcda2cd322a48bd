/**
 * Finds exceptions that only frozen objects can have caused, wherever they may be lost: user code
 * must not see what a fresh realm would not have thrown.
 */
import {
  fault,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  defineProperty,
  phase,
  reflectApply,
} from "./state.ts";

const { exec } = RegExp.prototype;
const { isError } = Error as unknown as { isError: (value: unknown) => boolean };
const { prototype: typeErrors } = TypeError;
const { prototype: rangeErrors } = RangeError;
const { prototype: suppressedErrors } = SuppressedError;

const { includes } = String.prototype;
/** Begins the names that instrumented code brings, which the engine may name in a message. */
const MARK = "$fenchel";

/** What the engine says when something frozen is written to (V8's message templates). */
const frozenMessage = new RegExp(
  [
    "^Cannot assign to read only property",
    "^Cannot (add|define) property .* object is not extensible$",
    "^Cannot (redefine|delete) property",
    "is not extensible$",
    "^Immutable prototype object",
    "^'.*' on proxy: ",
    "^Cannot freeze",
    // These tell a place that is another for values that are looked at in parameter lists.
    "is not iterable",
    "^Cannot destructure",
    // The text of a function, whole or cut in its middle.
    "\\$fenchel",
    "<omitted>",
  ].join("|"),
  "s",
);
const uncaught = /^Uncaught (?:TypeError: )?(.*)$/s;

/** Looks at an exception on its way through user code. */
export function seen<T>(error: T): T {
  if (!isError(error)) return error;
  const message = getOwnPropertyDescriptor(error, "message")?.value as unknown;
  if (phase !== "sealed") {
    if (typeof message === "string" && reflectApply(includes, message, [MARK])) fault(message);
    return error;
  }
  const kind = getPrototypeOf(error);
  // The engine may have put an exception into it that nobody has seen.
  if (kind === suppressedErrors) fault("a SuppressedError");
  if (typeof message !== "string") return error;
  if (kind === typeErrors) checkMessage(message);
  else if (kind === rangeErrors && message === "Maximum call stack size exceeded") {
    fault("a stack that was too deep to look at exceptions");
  }
  return error;
}

function checkMessage(message: string): void {
  if (reflectApply(exec, frozenMessage, [message]) !== null) fault(message);
}

/** Looks at an error of which only the text has come: a rejection that nobody handled. */
export function seenText(text: string): void {
  const match = reflectApply(exec, uncaught, [text]) as [string, string] | null;
  if (match !== null) checkMessage(match[1]);
}

/**
 * A function that does what a native one does and looks at its exceptions, to be bound in its
 * place: the engine may call bound functions where no code of the app stands around them.
 */
export function lookAtExceptions(native: (...args: unknown[]) => unknown): typeof native {
  const { method } = {
    method(this: unknown, ...args: unknown[]): unknown {
      try {
        return reflectApply(native, this, args);
      } catch (error) {
        throw seen(error);
      }
    },
  };
  for (const name of ["name", "length"]) {
    const original = getOwnPropertyDescriptor(native, name);
    if (original !== undefined) defineProperty(method, name, original);
  }
  return method;
}

// --- Expressions in parameter lists: no function body stands around them ---

/** Expressions that have begun and not ended: more than none between turns is an exception. */
let openCount = 0;

export function began(): void {
  openCount += 1;
}

export function ended(): void {
  openCount -= 1;
}

export function forgetParameters(): void {
  openCount = 0;
}

/** Call between turns. */
export function checkParameters(): void {
  if (openCount !== 0) fault("an exception in a parameter list");
}
