/** `AbortController` and `AbortSignal` (DOM standard 3). */
import { setTimeout } from "../timers.ts";
import { DOMException } from "./dom_exception.ts";
import { Event, EventTarget } from "./events.ts";
import { finishInterface, requireArguments } from "./web_idl.ts";

/** Aborts a signal. Set by the class, which alone sees its private fields. */
let trigger: (signal: AbortSignal, reason: unknown) => void;

/** Lets only this file make signals. */
const MAKE = Symbol("make");

export class AbortSignal extends EventTarget {
  #isAborted = false;
  #reason: unknown = undefined;
  #onabort: ((event: Event) => unknown) | null = null;
  /** Signals that `any` made of this one; a joined signal hangs on the first ones directly. */
  #dependents: AbortSignal[] = [];
  #sources: AbortSignal[] = [];
  #isJoined = false;

  constructor(make: typeof MAKE) {
    if (make !== MAKE) throw new TypeError("Illegal constructor");
    super();
  }

  get aborted(): boolean {
    return this.#isAborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  get onabort(): ((event: Event) => unknown) | null {
    return this.#onabort;
  }

  /** The handler has the place among the listeners at which it was first set. */
  set onabort(handler: unknown) {
    const isFirst = this.#onabort === null;
    this.#onabort = typeof handler === "function" ? (handler as (event: Event) => unknown) : null;
    if (this.#onabort === null) this.removeEventListener("abort", this.#callHandler);
    else if (isFirst) this.addEventListener("abort", this.#callHandler);
  }

  readonly #callHandler = (event: Event): void => {
    this.#onabort?.call(this, event);
  };

  throwIfAborted(): void {
    if (this.#isAborted) throw this.#reason;
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(MAKE);
    trigger(signal, reason);
    return signal;
  }

  static timeout(delayMs: number): AbortSignal {
    requireArguments(arguments.length, 1, "AbortSignal.timeout");
    const delay = Number(delayMs);
    if (!(delay >= 0 && delay <= Number.MAX_SAFE_INTEGER)) {
      throw new TypeError("The delay is not a number of milliseconds");
    }
    const signal = new AbortSignal(MAKE);
    const expire = (): void =>
      trigger(signal, new DOMException("The operation timed out.", "TimeoutError"));
    setTimeout(expire, delay);
    return signal;
  }

  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const all = [...signals];
    if (all.some((signal) => !(signal instanceof AbortSignal))) {
      throw new TypeError("Not all of them are AbortSignals");
    }
    const joined = new AbortSignal(MAKE);
    joined.#isJoined = true;
    const aborted = all.find((signal) => signal.aborted);
    if (aborted !== undefined) {
      joined.#isAborted = true;
      joined.#reason = aborted.reason;
      return joined;
    }
    const sources = all.flatMap((signal) => (signal.#isJoined ? signal.#sources : [signal]));
    joined.#sources = [...new Set(sources)];
    for (const source of joined.#sources) source.#dependents.push(joined);
    return joined;
  }

  static {
    trigger = (signal, reason) => {
      if (signal.#isAborted) return;
      const why = reason === undefined ? abortError() : reason;
      const fired = [signal, ...signal.#dependents.filter((other) => !other.#isAborted)];
      for (const each of fired) {
        each.#isAborted = true;
        each.#reason = why;
      }
      signal.#dependents = [];
      for (const each of fired) each.dispatchEvent(new Event("abort"));
    };
  }
}

function abortError(): DOMException {
  return new DOMException("This operation was aborted", "AbortError");
}

export class AbortController {
  readonly #signal = new AbortSignal(MAKE);

  get signal(): AbortSignal {
    return this.#signal;
  }

  abort(reason?: unknown): void {
    trigger(this.#signal, reason);
  }
}

finishInterface(AbortSignal, "AbortSignal");
finishInterface(AbortController, "AbortController");
