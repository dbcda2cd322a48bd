/** `performance`: only its clock. */
import { performanceNow, timeOrigin } from "../time.ts";

export const performance = {
  now: performanceNow,
  get timeOrigin(): number {
    return timeOrigin();
  },
  toJSON(): { timeOrigin: number } {
    return { timeOrigin: timeOrigin() };
  },
};
