/** How the time of user code is told from time that the machine gave to others. */

/** Who was stopped by the clock with less than this share of its processor time was starved. */
const STARVED_SHARE = 0.8;

/** Processor time of this thread: what others take from the machine is not the function's. */
export function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Whether code that the clock stopped after `usedMs` of processor time had too little of it. */
export function isStarved(usedMs: number, userTimeoutMs: number): boolean {
  return usedMs < STARVED_SHARE * userTimeoutMs;
}
