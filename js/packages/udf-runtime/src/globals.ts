/**
 * Installs the realm's globals. Web APIs that most functions never touch appear at their first use.
 */
import { createConsole } from "./console.ts";
import { forbidBlocking, forbidCodeFromText, hideGarbageCollection } from "./determinism.ts";
import { createProcess } from "./environment.ts";
import { installStackTraces } from "./errors.ts";
import { createConvexObject } from "./execution.ts";
import { NativePromise, defineProperty, thenNative } from "./primordials.ts";
import { random } from "./random.ts";
import { asyncContext } from "./state.ts";
import { installImports } from "./modules.ts";
import { createDate, replaceDateFormats } from "./time.ts";
import { isVendorLoading } from "./vendor.ts";
import type { VendorName } from "./host_interface.ts";
import { clearTimer, setInterval, setTimeout } from "./timers.ts";

declare function require(path: "./web/url.ts"): typeof import("./web/url.ts");
declare function require(path: "./web/encoding.ts"): typeof import("./web/encoding.ts");
declare function require(path: "./web/base64.ts"): typeof import("./web/base64.ts");
declare function require(
  path: "./web/structured_clone.ts",
): typeof import("./web/structured_clone.ts");
declare function require(path: "./web/dom_exception.ts"): typeof import("./web/dom_exception.ts");
declare function require(path: "./web/events.ts"): typeof import("./web/events.ts");
declare function require(path: "./web/abort.ts"): typeof import("./web/abort.ts");
declare function require(path: "./web/streams.ts"): typeof import("./web/streams.ts");
declare function require(path: "./web/fetch_globals.ts"): typeof import("./web/fetch_globals.ts");
declare function require(path: "./web/crypto.ts"): typeof import("./web/crypto.ts");
declare function require(path: "./web/subtle_globals.ts"): typeof import("./web/subtle_globals.ts");
declare function require(path: "./web/async_context.ts"): typeof import("./web/async_context.ts");
declare function require(path: "./web/performance.ts"): typeof import("./web/performance.ts");

function define(name: string, value: unknown): void {
  defineProperty(globalThis, name, {
    value,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

/**
 * Defines globals that load `load()` when one of them is first read. For code that runs meanwhile
 * they are absent: packages look whether the engine has what they bring. `vendor` is the script
 * that they come from, which may also be loading because another one needs it.
 */
function defineLazily<T extends object>(
  load: () => T,
  names: readonly (keyof T & string)[],
  vendor?: VendorName,
): void {
  let isLoading = false;
  const loadOnce = (name: keyof T & string): unknown => {
    if (isLoading || (vendor !== undefined && isVendorLoading(vendor))) return undefined;
    isLoading = true;
    try {
      const value = load()[name];
      if (value !== undefined) define(name, value);
      return value;
    } finally {
      isLoading = false;
    }
  };
  for (const name of names) {
    defineProperty(globalThis, name, {
      get: () => loadOnce(name),
      set(value: unknown) {
        define(name, value);
      },
      enumerable: false,
      configurable: true,
    });
  }
}

function queueMicrotask(callback: () => void): void {
  if (typeof callback !== "function")
    throw new TypeError("queueMicrotask: callback must be a function");
  const run = asyncContext.bind?.(callback) ?? callback;
  thenNative(
    NativePromise.resolve(),
    () => run(),
    () => {},
  );
}

export function installGlobals(): void {
  installStackTraces();
  hideGarbageCollection();
  forbidBlocking();
  forbidCodeFromText();
  define("Date", createDate());
  replaceDateFormats();
  define("Convex", createConvexObject());
  define("console", createConsole());
  define("process", createProcess());
  define("self", globalThis);
  define("queueMicrotask", queueMicrotask);
  define("setTimeout", setTimeout);
  define("setInterval", setInterval);
  define("clearTimeout", clearTimer);
  define("clearInterval", clearTimer);
  installImports();
  defineProperty(Math, "random", { value: random, writable: true, configurable: true });
  defineWebApis();
}

function defineWebApis(): void {
  defineLazily(() => require("./web/url.ts"), ["URL", "URLSearchParams"], "url");
  defineLazily(() => require("./web/encoding.ts"), ["TextEncoder", "TextDecoder"], "encoding");
  defineLazily(() => require("./web/base64.ts"), ["atob", "btoa"]);
  defineLazily(() => require("./web/structured_clone.ts"), ["structuredClone"], "clone");
  defineLazily(() => require("./web/dom_exception.ts"), ["DOMException"]);
  defineLazily(() => require("./web/events.ts"), ["Event", "EventTarget"]);
  defineLazily(() => require("./web/abort.ts"), ["AbortController", "AbortSignal"]);
  defineLazily(
    () => require("./web/fetch_globals.ts"),
    ["Blob", "File", "FormData", "Headers", "Request", "Response", "fetch"],
    "fetch",
  );
  defineLazily(
    () => require("./web/streams.ts"),
    [
      "ByteLengthQueuingStrategy",
      "CountQueuingStrategy",
      "ReadableByteStreamController",
      "ReadableStream",
      "ReadableStreamBYOBReader",
      "ReadableStreamBYOBRequest",
      "ReadableStreamDefaultController",
      "ReadableStreamDefaultReader",
      "TextDecoderStream",
      "TextEncoderStream",
      "TransformStream",
      "TransformStreamDefaultController",
      "WritableStream",
      "WritableStreamDefaultController",
      "WritableStreamDefaultWriter",
    ],
    "streams",
  );
  defineLazily(() => require("./web/crypto.ts"), ["crypto", "Crypto"]);
  defineLazily(() => require("./web/subtle_globals.ts"), ["CryptoKey", "SubtleCrypto"], "subtle");
  defineLazily(
    () => require("./web/performance.ts"),
    ["performance", "Performance", "PerformanceEntry", "PerformanceMark", "PerformanceMeasure"],
  );
  defineLazily(() => require("./web/async_context.ts"), ["AsyncLocalStorage", "AsyncResource"]);
}
