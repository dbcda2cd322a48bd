/**
 * What the URL package finds as `SharedArrayBuffer`: V8 makes the real one only after a snapshot was
 * built, and the package takes its getters apart when it loads. No URL is ever made from a buffer.
 */
function refuse(): never {
  throw new TypeError("Not a SharedArrayBuffer");
}

class StandIn {
  get byteLength(): number {
    return refuse();
  }

  get growable(): boolean {
    return refuse();
  }
}

export { StandIn as SharedArrayBuffer };
