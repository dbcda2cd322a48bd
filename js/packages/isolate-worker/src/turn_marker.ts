/**
 * Says whose turn it is, where the backend can read it while the turn lasts: this thread cannot
 * answer questions then. A file in memory on fd 5, its first four bytes the execution's id.
 */
import fs from "node:fs";

export class TurnMarker {
  readonly #fd: number;
  readonly #bytes = Buffer.alloc(4);
  #shown = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  show(executionId: number): void {
    if (executionId === this.#shown) return;
    this.#shown = executionId;
    this.#bytes.writeUInt32LE(executionId);
    fs.writeSync(this.#fd, this.#bytes, 0, 4, 0);
  }
}
