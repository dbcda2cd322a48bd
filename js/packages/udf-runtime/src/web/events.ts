/**
 * `Event`, `EventTarget`, `AbortController`, `AbortSignal`: what the DOM standard says of them
 * without a tree.
 */
import { setTimeout } from "../timers.ts";
import { DOMException } from "./dom_exception.ts";

interface EventInit {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}

/** Whether a listener stopped the others. Set by the class, which alone sees its private fields. */
let isStopped: (event: Event) => boolean;
/** Aborts a signal. Set by the class likewise. */
let trigger: (signal: AbortSignal, reason: unknown) => void;

export class Event {
  readonly type: string;
  readonly bubbles: boolean;
  readonly cancelable: boolean;
  readonly composed: boolean;
  readonly timeStamp = 0;
  readonly isTrusted = false;
  target: EventTarget | null = null;
  currentTarget: EventTarget | null = null;
  eventPhase = 0;
  #isCanceled = false;
  #isStopped = false;

  constructor(type: string, init: EventInit = {}) {
    this.type = String(type);
    this.bubbles = Boolean(init.bubbles);
    this.cancelable = Boolean(init.cancelable);
    this.composed = Boolean(init.composed);
  }

  get defaultPrevented(): boolean {
    return this.#isCanceled;
  }

  preventDefault(): void {
    if (this.cancelable) this.#isCanceled = true;
  }

  stopPropagation(): void {}

  stopImmediatePropagation(): void {
    this.#isStopped = true;
  }

  composedPath(): EventTarget[] {
    return this.currentTarget === null ? [] : [this.currentTarget];
  }

  static {
    isStopped = (event) => event.#isStopped;
  }

  get [Symbol.toStringTag](): string {
    return "Event";
  }
}

type Callback = ((event: Event) => void) | { handleEvent(event: Event): void };

interface ListenerOptions {
  capture?: boolean;
  once?: boolean;
  signal?: AbortSignal;
}

interface Listener {
  callback: Callback;
  capture: boolean;
  once: boolean;
}

function isCapture(options: ListenerOptions | boolean | undefined): boolean {
  return typeof options === "boolean" ? options : Boolean(options?.capture);
}

export class EventTarget {
  readonly #listeners = new Map<string, Listener[]>();

  addEventListener(
    type: string,
    callback: Callback | null,
    options?: ListenerOptions | boolean,
  ): void {
    if (callback === null || callback === undefined) return;
    const { once = false, signal } = typeof options === "object" ? options : {};
    if (signal?.aborted) return;
    const capture = isCapture(options);
    const listeners = this.#listeners.get(type) ?? [];
    if (listeners.some((other) => other.callback === callback && other.capture === capture)) return;
    this.#listeners.set(type, [...listeners, { callback, capture, once }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, callback, capture));
  }

  removeEventListener(
    type: string,
    callback: Callback | null,
    options?: ListenerOptions | boolean,
  ): void {
    const capture = isCapture(options);
    const listeners = this.#listeners.get(type) ?? [];
    const left = listeners.filter(
      (other) => other.callback !== callback || other.capture !== capture,
    );
    this.#listeners.set(type, left);
  }

  dispatchEvent(event: Event): boolean {
    event.target = this;
    event.currentTarget = this;
    for (const listener of this.#listeners.get(event.type) ?? []) {
      if (!this.#listeners.get(event.type)?.includes(listener)) continue;
      if (listener.once) this.removeEventListener(event.type, listener.callback, listener.capture);
      if (typeof listener.callback === "function") listener.callback.call(this, event);
      else listener.callback.handleEvent(event);
      if (isStopped(event)) break;
    }
    event.currentTarget = null;
    return !event.defaultPrevented;
  }

  get [Symbol.toStringTag](): string {
    return "EventTarget";
  }
}

/** Lets only this file make signals. */
const MAKE = Symbol("make");

export class AbortSignal extends EventTarget {
  onabort: ((event: Event) => void) | null = null;
  #isAborted = false;
  #reason: unknown = undefined;

  constructor(key: typeof MAKE) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    super();
  }

  get aborted(): boolean {
    return this.#isAborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#isAborted) throw this.#reason;
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(MAKE);
    trigger(signal, reason);
    return signal;
  }

  static timeout(delayMs: number): AbortSignal {
    const signal = new AbortSignal(MAKE);
    const expire = (): void =>
      trigger(signal, new DOMException("The operation timed out.", "TimeoutError"));
    setTimeout(expire, delayMs);
    return signal;
  }

  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const all = [...signals];
    const joined = new AbortSignal(MAKE);
    const aborted = all.find((signal) => signal.aborted);
    if (aborted !== undefined) trigger(joined, aborted.reason);
    for (const signal of all) {
      signal.addEventListener("abort", () => trigger(joined, signal.reason), { once: true });
    }
    return joined;
  }

  static {
    trigger = (signal, reason) => {
      if (signal.#isAborted) return;
      signal.#isAborted = true;
      signal.#reason = reason ?? new DOMException("This operation was aborted", "AbortError");
      const event = new Event("abort");
      signal.onabort?.(event);
      signal.dispatchEvent(event);
    };
  }

  override get [Symbol.toStringTag](): string {
    return "AbortSignal";
  }
}

export class AbortController {
  readonly signal = new AbortSignal(MAKE);

  abort(reason?: unknown): void {
    trigger(this.signal, reason);
  }

  get [Symbol.toStringTag](): string {
    return "AbortController";
  }
}
