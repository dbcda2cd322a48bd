/**
 * Maps stack frames of one bundle to the developer's sources (specification 5.2). Lines and columns
 * 1-based.
 */
import { TraceMap, originalPositionFor } from "@jridgewell/trace-mapping";
import type { RawFrame } from "../../udf-runtime/src/host_interface.ts";
import { APP_FILE, GUARD_FILE, RUNTIME_FILE, WARM_FILE } from "./snapshot.ts";
import { ShiftIndex } from "./warm/insertions.ts";
import type { Shifts } from "./warm/insertions.ts";

export interface SourcePosition {
  source: string;
  line: number;
  column: number;
}

const LIBRARY_INTERNALS = /(^|\/)convex\/src\/server\/impl\//;

export class StackMapper {
  readonly #sourceMap: string;
  /** Decoded at the first use: most bundles never throw. */
  #traceMap: TraceMap | null | undefined;

  #shifts: Shifts = [];
  #shiftIndex: ShiftIndex | null = null;

  /** `sourceMap`: JSON text, or "" when there is none. */
  constructor(sourceMap: string) {
    this.#sourceMap = sourceMap;
  }

  /** Those of the script for warm realms, which comes later than the bundle. */
  setShifts(shifts: Shifts): void {
    this.#shifts = shifts;
    this.#shiftIndex = null;
  }

  position(line: number, column: number): SourcePosition | null {
    this.#traceMap ??= this.#sourceMap === "" ? null : new TraceMap(this.#sourceMap);
    if (this.#traceMap === null) return null;
    const found = originalPositionFor(this.#traceMap, { line, column: Math.max(0, column - 1) });
    if (found.source === null) return null;
    return { source: found.source, line: found.line, column: found.column + 1 };
  }

  /** Answers the realm's "fenchel/mapFrames": texts, or null when fresh contexts have other frames. */
  answer(framesJson: string): string {
    return `1${JSON.stringify(this.mapFrames(JSON.parse(framesJson) as RawFrame[]))}`;
  }

  /**
   * Texts of the frames to show: mapped, without what belongs to the runtime at the head and the
   * tail. Null when a frame's place is in what only the script for warm realms has.
   */
  mapFrames(frames: readonly RawFrame[]): string[] | null {
    if (frames.some((frame) => this.#isInserted(frame))) return null;
    const mapped = frames.map((frame) => this.#mapFrame(frame));
    let start = 0;
    let end = mapped.length;
    while (start < end && isInternal(mapped[start])) start += 1;
    while (end > start && isInternal(mapped[end - 1])) end -= 1;
    return mapped.slice(start, end).flatMap((frame) => (frame === null ? [] : [frame.text]));
  }

  #isInserted([, file, line, column]: RawFrame): boolean {
    return file === WARM_FILE && this.#originalColumn(line, column) === null;
  }

  #originalColumn(line: number, column: number): number | null {
    this.#shiftIndex ??= new ShiftIndex(this.#shifts);
    return this.#shiftIndex.originalColumn(line, column);
  }

  #mapFrame([before, file, line, column, after]: RawFrame): {
    text: string;
    source: string;
  } | null {
    if (file === WARM_FILE) {
      const original = this.#originalColumn(line, column) ?? column;
      return this.#mapFrame([before, APP_FILE, line, original, after]);
    }
    if (file === RUNTIME_FILE || file === GUARD_FILE) return null;
    if (file !== APP_FILE) return { text: `${before}${file}${after}`, source: file };
    const position = this.position(line, column);
    if (position === null) {
      if (this.#traceMap !== null) return null;
      return { text: `${before}${file}:${line}:${column}${after}`, source: file };
    }
    const { source } = position;
    return { text: `${before}${source}:${position.line}:${position.column}${after}`, source };
  }
}

function isInternal(frame: { source: string } | null | undefined): boolean {
  return frame === null || frame === undefined || LIBRARY_INTERNALS.test(frame.source);
}
