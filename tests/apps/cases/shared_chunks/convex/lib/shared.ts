export class Counter {
  count = 0;

  next(): string {
    this.count += 1;
    return `shared ${this.count}`;
  }
}

export const counter = new Counter();
export const value = "not a function";
