/** `performance`: the realm's clock, and user timing on it (specification 3.3, 3.8). */
import { performanceNow, timeOrigin } from "../time.ts";
import { DOMException } from "./dom_exception.ts";
import { finishInterface, requireArguments, toDictionary } from "./web_idl.ts";

/** Entries that are kept; older ones go when there are more. */
const ENTRIES_MAX = 10_000;

/** Lets only this file make them. */
const MAKE = Symbol("make");

interface Facts {
  name: string;
  entryType: string;
  startTime: number;
  duration: number;
  detail: unknown;
}

export class PerformanceEntry {
  readonly #facts: Facts;

  constructor(make: typeof MAKE, facts: Facts) {
    if (make !== MAKE) throw new TypeError("Illegal constructor");
    this.#facts = facts;
  }

  get name(): string {
    return this.#facts.name;
  }

  get entryType(): string {
    return this.#facts.entryType;
  }

  get startTime(): number {
    return this.#facts.startTime;
  }

  get duration(): number {
    return this.#facts.duration;
  }

  get detail(): unknown {
    return this.#facts.detail;
  }

  toJSON(): object {
    const { name, entryType, startTime, duration, detail } = this.#facts;
    return { name, entryType, startTime, duration, detail };
  }
}

export class PerformanceMark extends PerformanceEntry {
  constructor(name: string, options?: unknown) {
    requireArguments(arguments.length, 1, "PerformanceMark constructor");
    const init = toDictionary(options, "Mark options");
    const startTime =
      init["startTime"] === undefined ? performanceNow() : Number(init["startTime"]);
    if (!(startTime >= 0)) throw new TypeError("The start time of a mark must not be negative");
    super(MAKE, {
      name: String(name),
      entryType: "mark",
      startTime,
      duration: 0,
      detail: copyDetail(init["detail"]),
    });
  }
}

export class PerformanceMeasure extends PerformanceEntry {}

function copyDetail(detail: unknown): unknown {
  return detail === undefined || detail === null ? null : structuredClone(detail);
}

declare function structuredClone(value: unknown): unknown;

export class Performance {
  #entries: PerformanceEntry[] = [];

  constructor(make: typeof MAKE) {
    if (make !== MAKE) throw new TypeError("Illegal constructor");
  }

  get timeOrigin(): number {
    return timeOrigin();
  }

  now(): number {
    return performanceNow();
  }

  mark(name: string, options?: unknown): PerformanceMark {
    requireArguments(arguments.length, 1, "performance.mark");
    const mark = new PerformanceMark(name, options);
    this.#keep(mark);
    return mark;
  }

  measure(name: string, startOrOptions?: unknown, endMark?: unknown): PerformanceMeasure {
    requireArguments(arguments.length, 1, "performance.measure");
    const isObject = typeof startOrOptions === "object" && startOrOptions !== null;
    const init = isObject ? toDictionary(startOrOptions, "Measure options") : null;
    const [start, end, duration] = init
      ? [init["start"], init["end"], init["duration"]]
      : [startOrOptions, endMark, undefined];
    checkMeasure(init, endMark);
    const endTime = this.#endTime(start, end, duration);
    const startTime = this.#startTime(start, end, duration);
    const detail = copyDetail(init?.["detail"]);
    const measure = new PerformanceMeasure(MAKE, {
      name: String(name),
      entryType: "measure",
      startTime,
      duration: endTime - startTime,
      detail,
    });
    this.#keep(measure);
    return measure;
  }

  getEntries(): PerformanceEntry[] {
    return this.#entries.toSorted((left, right) => left.startTime - right.startTime);
  }

  getEntriesByType(type: string): PerformanceEntry[] {
    requireArguments(arguments.length, 1, "performance.getEntriesByType");
    return this.getEntries().filter(({ entryType }) => entryType === String(type));
  }

  getEntriesByName(name: string, type?: string): PerformanceEntry[] {
    requireArguments(arguments.length, 1, "performance.getEntriesByName");
    const entries = type === undefined ? this.getEntries() : this.getEntriesByType(type);
    return entries.filter((entry) => entry.name === String(name));
  }

  clearMarks(name?: string): void {
    this.#clear("mark", name);
  }

  clearMeasures(name?: string): void {
    this.#clear("measure", name);
  }

  toJSON(): object {
    return { timeOrigin: timeOrigin() };
  }

  #keep(entry: PerformanceEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > ENTRIES_MAX) this.#entries.shift();
  }

  #clear(type: string, name: string | undefined): void {
    const isKept = (entry: PerformanceEntry): boolean =>
      entry.entryType !== type || (name !== undefined && entry.name !== String(name));
    this.#entries = this.#entries.filter(isKept);
  }

  #startTime(start: unknown, end: unknown, duration: unknown): number {
    if (start !== undefined) return this.#timeOf(start);
    if (duration !== undefined && end !== undefined) return this.#timeOf(end) - Number(duration);
    return 0;
  }

  #endTime(start: unknown, end: unknown, duration: unknown): number {
    if (end !== undefined) return this.#timeOf(end);
    if (start !== undefined && duration !== undefined)
      return this.#timeOf(start) + Number(duration);
    return performanceNow();
  }

  /** A time itself, or that of the last mark of this name. */
  #timeOf(mark: unknown): number {
    if (typeof mark === "number") {
      if (mark < 0) throw new TypeError("A time of a measure must not be negative");
      return mark;
    }
    const found = this.#entries.findLast(
      ({ entryType, name }) => entryType === "mark" && name === String(mark),
    );
    if (found === undefined) {
      throw new DOMException(`There is no mark "${String(mark)}"`, "SyntaxError");
    }
    return found.startTime;
  }
}

function checkMeasure(init: Record<string, unknown> | null, endMark: unknown): void {
  if (init === null) return;
  const { start, end, duration } = init;
  const isEmpty = [start, end, duration, init["detail"]].every((value) => value === undefined);
  if (isEmpty) return;
  if (endMark !== undefined) throw new TypeError("Options of a measure exclude an end mark");
  if (start === undefined && end === undefined) {
    throw new TypeError("Options of a measure need a start or an end");
  }
  if (start !== undefined && end !== undefined && duration !== undefined) {
    throw new TypeError("Options of a measure have start, end and duration at once");
  }
}

finishInterface(PerformanceEntry, "PerformanceEntry");
finishInterface(PerformanceMark, "PerformanceMark");
finishInterface(PerformanceMeasure, "PerformanceMeasure");
finishInterface(Performance, "Performance");

export const performance = new Performance(MAKE);
