/**
 * `Event` and `EventTarget`: what the DOM standard says of them without a tree. What a listener
 * throws ends the function, as a rejection that nobody handles does.
 */
import { NativePromise } from "../primordials.ts";
import type { AbortSignal } from "./abort.ts";
import { DOMException } from "./dom_exception.ts";
import { finishInterface, requireArguments, toDictionary } from "./web_idl.ts";

/** Where an event is on its way. */
interface Way {
  target: EventTarget | null;
  current: EventTarget | null;
  isDispatching: boolean;
  isStopped: boolean;
  isStoppedAtOnce: boolean;
  isCanceled: boolean;
  inPassiveListener: boolean;
}

/** Set by the class, which alone sees its private fields. */
let wayOf: (event: Event) => Way;

const AT_TARGET = 2;

export class Event {
  #type: string;
  #bubbles: boolean;
  #cancelable: boolean;
  readonly #composed: boolean;
  readonly #way: Way = {
    target: null,
    current: null,
    isDispatching: false,
    isStopped: false,
    isStoppedAtOnce: false,
    isCanceled: false,
    inPassiveListener: false,
  };

  constructor(type: string, options?: unknown) {
    requireArguments(arguments.length, 1, "Event constructor");
    const init = toDictionary(options, "Event options");
    this.#type = String(type);
    this.#bubbles = Boolean(init["bubbles"]);
    this.#cancelable = Boolean(init["cancelable"]);
    this.#composed = Boolean(init["composed"]);
    Object.defineProperty(this, "isTrusted", { get: isTrusted, enumerable: true });
  }

  get type(): string {
    return this.#type;
  }

  get target(): EventTarget | null {
    return this.#way.target;
  }

  get srcElement(): EventTarget | null {
    return this.#way.target;
  }

  get currentTarget(): EventTarget | null {
    return this.#way.current;
  }

  get eventPhase(): number {
    return this.#way.isDispatching ? AT_TARGET : 0;
  }

  get bubbles(): boolean {
    return this.#bubbles;
  }

  get cancelable(): boolean {
    return this.#cancelable;
  }

  get composed(): boolean {
    return this.#composed;
  }

  get defaultPrevented(): boolean {
    return this.#way.isCanceled;
  }

  get returnValue(): boolean {
    return !this.#way.isCanceled;
  }

  set returnValue(value: unknown) {
    if (!value) this.preventDefault();
  }

  get cancelBubble(): boolean {
    return this.#way.isStopped;
  }

  set cancelBubble(value: unknown) {
    if (value) this.#way.isStopped = true;
  }

  get timeStamp(): number {
    return 0;
  }

  composedPath(): EventTarget[] {
    return this.#way.current === null ? [] : [this.#way.current];
  }

  preventDefault(): void {
    if (this.#cancelable && !this.#way.inPassiveListener) this.#way.isCanceled = true;
  }

  stopPropagation(): void {
    this.#way.isStopped = true;
  }

  stopImmediatePropagation(): void {
    this.#way.isStopped = true;
    this.#way.isStoppedAtOnce = true;
  }

  initEvent(type: string, bubbles?: unknown, cancelable?: unknown): void {
    requireArguments(arguments.length, 1, "initEvent");
    if (this.#way.isDispatching) return;
    Object.assign(this.#way, { isStopped: false, isStoppedAtOnce: false, isCanceled: false });
    this.#way.target = null;
    this.#type = String(type);
    this.#bubbles = Boolean(bubbles);
    this.#cancelable = Boolean(cancelable);
  }

  static {
    wayOf = (event) => event.#way;
  }
}

function isTrusted(): boolean {
  return false;
}

const PHASES = { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET, BUBBLING_PHASE: 3 };
for (const [phase, value] of Object.entries(PHASES)) {
  for (const holder of [Event, Event.prototype]) {
    Object.defineProperty(holder, phase, { value, enumerable: true });
  }
}

type Callback = ((event: Event) => unknown) | { handleEvent(event: Event): unknown };

interface Listener {
  readonly callback: Callback;
  readonly capture: boolean;
  readonly once: boolean;
  readonly passive: boolean;
  isRemoved: boolean;
}

interface Options {
  capture: boolean;
  once: boolean;
  passive: boolean;
  signal: AbortSignal | undefined;
}

function toOptions(options: unknown): Options {
  if (typeof options !== "object" && typeof options !== "function") {
    return { capture: Boolean(options), once: false, passive: false, signal: undefined };
  }
  const given = toDictionary(options, "Listener options");
  const signal = given["signal"];
  const isSignal = typeof signal === "object" && signal !== null && "aborted" in signal;
  if (signal !== undefined && !isSignal) throw new TypeError("signal is not an AbortSignal");
  return {
    capture: Boolean(given["capture"]),
    once: Boolean(given["once"]),
    passive: Boolean(given["passive"]),
    signal: signal as AbortSignal | undefined,
  };
}

function toCallback(callback: unknown): Callback | null {
  if (callback === null || callback === undefined) return null;
  if (typeof callback !== "function" && typeof callback !== "object") {
    throw new TypeError("The listener is neither a function nor an object");
  }
  return callback as Callback;
}

export class EventTarget {
  readonly #listeners = new Map<string, Listener[]>();

  addEventListener(type: string, callback: unknown, options?: unknown): void {
    requireArguments(arguments.length, 2, "addEventListener");
    const { capture, once, passive, signal } = toOptions(options);
    const checked = toCallback(callback);
    if (checked === null || signal?.aborted) return;
    const name = String(type);
    const listeners = this.#listeners.get(name) ?? [];
    if (listeners.some((other) => other.callback === checked && other.capture === capture)) return;
    const listener = { callback: checked, capture, once, passive, isRemoved: false };
    this.#listeners.set(name, [...listeners, listener]);
    signal?.addEventListener("abort", () => this.removeEventListener(name, checked, capture));
  }

  removeEventListener(type: string, callback: unknown, options?: unknown): void {
    requireArguments(arguments.length, 2, "removeEventListener");
    const { capture } = toOptions(options);
    const checked = toCallback(callback);
    const name = String(type);
    const left: Listener[] = [];
    for (const listener of this.#listeners.get(name) ?? []) {
      const isMeant = listener.callback === checked && listener.capture === capture;
      if (isMeant) listener.isRemoved = true;
      else left.push(listener);
    }
    this.#listeners.set(name, left);
  }

  dispatchEvent(event: Event): boolean {
    requireArguments(arguments.length, 1, "dispatchEvent");
    if (!(event instanceof Event)) throw new TypeError("The event is not an Event");
    const way = wayOf(event);
    if (way.isDispatching) {
      throw new DOMException("The event is being dispatched already", "InvalidStateError");
    }
    Object.assign(way, { target: this, current: this, isDispatching: true });
    const listeners = this.#listeners.get(event.type) ?? [];
    if (!way.isStopped) {
      for (const isCapturing of [true, false]) this.#invoke(event, way, listeners, isCapturing);
    }
    Object.assign(way, { current: null, isDispatching: false });
    Object.assign(way, { isStopped: false, isStoppedAtOnce: false });
    return !event.defaultPrevented;
  }

  #invoke(event: Event, way: Way, listeners: readonly Listener[], isCapturing: boolean): void {
    if (way.isStopped && !isCapturing) return;
    for (const { callback, capture, once, passive, isRemoved } of listeners) {
      if (isRemoved || capture !== isCapturing) continue;
      if (way.isStoppedAtOnce) return;
      if (once) this.removeEventListener(event.type, callback, capture);
      way.inPassiveListener = passive;
      try {
        if (typeof callback === "function") callback.call(this, event);
        else callback.handleEvent(event);
      } catch (error) {
        void NativePromise.reject(error);
      }
      way.inPassiveListener = false;
    }
  }
}

finishInterface(Event, "Event");
finishInterface(EventTarget, "EventTarget");
