/** What the next execution sees: must be the same before and after every hostile program. */
import { acting, program, shared } from "./hostile";

function describe(owner: object, key: PropertyKey): string {
  const property = Object.getOwnPropertyDescriptor(owner, key);
  if (property === undefined) return "gone";
  const flags = [property.writable, property.enumerable, property.configurable]
    .map(Number)
    .join("");
  const parts = [property.value, property.get, property.set].map((part) =>
    typeof part === "function"
      ? `function ${part.name}/${part.length}`
      : typeof part,
  );
  return `${String(key)} ${flags} ${parts.join(" ")}`;
}

/** One line for every property of every object that can be reached from the globals. */
function survey(): string[] {
  const lines: string[] = [];
  const seen = new Set<object>();
  const queue: [string, object][] = [["globalThis", globalThis]];
  for (const [path, owner] of queue) {
    if (seen.has(owner)) continue;
    seen.add(owner);
    lines.push(
      `${path} ${Object.isExtensible(owner)} ${Object.isFrozen(owner)}`,
    );
    const prototype = Object.getPrototypeOf(owner);
    if (prototype !== null) queue.push([`${path}^`, prototype]);
    for (const key of Reflect.ownKeys(owner)) {
      lines.push(`${path}.${describe(owner, key)}`);
      const property = Object.getOwnPropertyDescriptor(owner, key);
      for (const part of [property?.value, property?.get, property?.set]) {
        if (
          (typeof part === "object" || typeof part === "function") &&
          part !== null
        )
          queue.push([`${path}.${String(key)}`, part]);
      }
    }
  }
  return lines;
}

export const world = program(() => {
  const lines = survey();
  let hash = 0;
  for (const character of lines.join("\n"))
    hash = (hash * 31 + character.charCodeAt(0)) | 0;
  return {
    count: lines.length,
    hash,
    shared: JSON.stringify(shared),
    sum: [1, 2].reduce((a, b) => a + b),
  };
});

export const lines = program(() => survey().slice(0, 8000));

export const clean = program(() => "clean");
export const cleanAction = acting(() => "clean");
