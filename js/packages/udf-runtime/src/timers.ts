/** `setTimeout` and `setInterval`, in actions only (specification 3.4, 3.5). */
import { NativeError } from "./primordials.ts";
import { sleep } from "./execution.ts";
import { asyncContext, realm, requireAction } from "./state.ts";

type Handler = (...args: unknown[]) => void;

let nextTimer = 1;
/** Timer number to the id of the sleep it waits for. */
const sleeping = new Map<number, number>();

function checkHandler(handler: unknown): Handler {
  if (typeof handler !== "function") {
    throw new NativeError("Timer handlers that are not functions are not implemented");
  }
  return asyncContext.bind?.(handler as Handler) ?? (handler as Handler);
}

function delayOf(delay: unknown): number {
  const milliseconds = Math.trunc(Number(delay ?? 0));
  return milliseconds > 0 && milliseconds < 0x80000000 ? milliseconds : 0;
}

export function setTimeout(handler: unknown, delay?: unknown, ...args: unknown[]): number {
  const execution = requireAction("setTimeout");
  const callback = checkHandler(handler);
  const timer = nextTimer++;
  const onDue = (): void => {
    sleeping.delete(timer);
    callback(...args);
  };
  sleeping.set(timer, sleep(execution, delayOf(delay), onDue));
  return timer;
}

export function setInterval(handler: unknown, delay?: unknown, ...args: unknown[]): number {
  const execution = requireAction("setInterval");
  const callback = checkHandler(handler);
  const timer = nextTimer++;
  const wait = (): void => {
    sleeping.set(timer, sleep(execution, delayOf(delay), onDue));
  };
  const onDue = (): void => {
    wait();
    callback(...args);
  };
  wait();
  return timer;
}

export function clearTimer(timer: unknown): void {
  const sleepId = sleeping.get(Number(timer));
  if (sleepId === undefined) return;
  sleeping.delete(Number(timer));
  realm.execution?.pending.delete(sleepId);
}
