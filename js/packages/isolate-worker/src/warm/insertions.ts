/**
 * Text with insertions, and the way back from positions in it. Insertions never hold line ends, so
 * that lines keep their numbers.
 */

/** Ascending [column, length] pairs per line, flat: [line, column, length, line, …], 0-based. */
export type Shifts = number[];

interface Insertion {
  offset: number;
  /** What ends at an offset comes before what begins there. */
  isClosing: boolean;
  order: number;
  text: string;
}

export class Insertions {
  readonly #source: string;
  readonly #insertions: Insertion[] = [];

  constructor(source: string) {
    this.#source = source;
  }

  /** Call for outer constructs before inner ones. */
  open(offset: number, text: string): void {
    this.#add(offset, false, text);
  }

  /** Call for inner constructs before outer ones. */
  close(offset: number, text: string): void {
    this.#add(offset, true, text);
  }

  #add(offset: number, isClosing: boolean, text: string): void {
    this.#insertions.push({ offset, isClosing, order: this.#insertions.length, text });
  }

  /** The text with everything inserted, `prefix` in front of its first line. */
  apply(prefix: string, suffix: string): { code: string; shifts: Shifts } {
    const sorted = this.#insertions.sort(
      (left, right) =>
        left.offset - right.offset ||
        Number(right.isClosing) - Number(left.isClosing) ||
        left.order - right.order,
    );
    const shifts: Shifts = [0, 0, prefix.length];
    const pieces = [prefix];
    let [copied, line, lineStart] = [0, 0, 0];
    for (const { offset, text } of sorted) {
      pieces.push(this.#source.slice(copied, offset), text);
      copied = offset;
      let next = this.#source.indexOf("\n", lineStart);
      while (next !== -1 && next < offset) {
        [line, lineStart] = [line + 1, next + 1];
        next = this.#source.indexOf("\n", lineStart);
      }
      shifts.push(line, offset - lineStart, text.length);
    }
    pieces.push(this.#source.slice(copied), suffix);
    return { code: pieces.join(""), shifts };
  }
}

/** Finds the columns of the text before the insertions. */
export class ShiftIndex {
  /** Line to its [column, length] pairs. */
  readonly #lines = new Map<number, [number, number][]>();

  constructor(shifts: Shifts) {
    for (let index = 0; index < shifts.length; index += 3) {
      const [line, column, length] = shifts.slice(index, index + 3) as [number, number, number];
      const pairs = this.#lines.get(line) ?? [];
      pairs.push([column, length]);
      this.#lines.set(line, pairs);
    }
  }

  /** `line` and `column` are 1-based. Null inside an insertion. */
  originalColumn(line: number, column: number): number | null {
    let shift = 0;
    for (const [start, length] of this.#lines.get(line - 1) ?? []) {
      const position = column - 1 - shift;
      if (position < start) break;
      if (position < start + length) return null;
      shift += length;
    }
    return column - shift;
  }
}
