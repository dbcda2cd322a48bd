/**
 * Collections made at import: what they hold when import ends is frozen, what executions change of
 * them is written down and undone before the next one.
 */
import { faultAtImport, replace } from "./replacements.ts";
import { createPinnedSet, old, phase, reflectApply, root } from "./state.ts";
import type { List } from "./state.ts";

type Contents = Map<unknown, unknown> | Set<unknown>;
type AnyMap = Map<unknown, unknown> | WeakMap<WeakKey, unknown>;
type AnySet = Set<unknown> | WeakSet<WeakKey>;

/** What to do to be back at the start of the execution, the last change first. */
let changes: List<() => void> | null = null;
/** Collections that are put back as a whole: nothing more needs to be written down of them. */
let copied = createPinnedSet();

export function undoChanges(): void {
  if (changes === null) return;
  for (let entry = changes as List<() => void> | null; entry !== null; entry = entry.next) {
    entry.value();
  }
  changes = null;
  copied = createPinnedSet();
}

/** Whether `has`, the method of its class, takes it: others get the engine's exception. */
function isChanged(target: object, has: (key: never) => boolean): boolean {
  if (phase === "import" || !old.has(target) || copied.has(target)) return false;
  try {
    reflectApply(has, target, [undefined]);
    return true;
  } catch {
    return false;
  }
}

function note(undo: () => void): void {
  changes = { value: undo, next: changes };
}

/** Before something is taken out: the order in which the rest stands must come back too. */
function noteContents(
  target: Contents,
  { forEach, clear, put }: Record<"forEach" | "clear" | "put", (...args: never[]) => unknown>,
): void {
  let entries = null as List<[unknown, unknown]> | null;
  const keep = (value: unknown, key: unknown): void => {
    entries = { value: [key, value], next: entries };
  };
  reflectApply(forEach, target, [keep]);
  const inOrder = reverse(entries);
  copied.add(target);
  note(() => {
    reflectApply(clear, target, []);
    for (let entry = inOrder; entry !== null; entry = entry.next) {
      reflectApply(put, target, [entry.value[0], entry.value[1]]);
    }
  });
}

function reverse<T>(list: List<T> | null): List<T> | null {
  let reversed: List<T> | null = null;
  for (let entry = list; entry !== null; entry = entry.next) {
    reversed = { value: entry.value, next: reversed };
  }
  return reversed;
}

/** `noteRemoval` writes down a target that loses an entry, or all. */
function guardMap(owner: AnyMap, noteRemoval: ((target: object) => void) | null): void {
  const { get, set, has, delete: remove } = owner as Map<unknown, unknown>;
  const noteEntry = (target: object, key: unknown): void => {
    const value = reflectApply(get, target, [key]) as unknown;
    note(() => reflectApply(set, target, [key, value]));
  };
  replace(owner, {
    set(this: object, key: unknown, value: unknown) {
      if (phase === "import") {
        root(key);
        root(value);
      } else if (isChanged(this, has)) {
        if (reflectApply(has, this, [key])) noteEntry(this, key);
        else note(() => reflectApply(remove, this, [key]));
      }
      return reflectApply(set, this, [key, value]);
    },
    delete(this: object, key: unknown) {
      if (isChanged(this, has) && reflectApply(has, this, [key])) {
        if (noteRemoval === null) noteEntry(this, key);
        else noteRemoval(this);
      }
      return reflectApply(remove, this, [key]);
    },
  });
}

function guardSet(owner: AnySet, noteRemoval: ((target: object) => void) | null): void {
  const { add, has, delete: remove } = owner as Set<unknown>;
  replace(owner, {
    add(this: object, value: unknown) {
      if (phase === "import") root(value);
      else if (isChanged(this, has) && !reflectApply(has, this, [value])) {
        note(() => reflectApply(remove, this, [value]));
      }
      return reflectApply(add, this, [value]);
    },
    delete(this: object, value: unknown) {
      if (isChanged(this, has) && reflectApply(has, this, [value])) {
        if (noteRemoval === null) note(() => reflectApply(add, this, [value]));
        else noteRemoval(this);
      }
      return reflectApply(remove, this, [value]);
    },
  });
}

function guardClear(owner: Contents, noteRemoval: (target: object) => void): void {
  const { clear, has } = owner;
  replace(owner, {
    clear(this: object) {
      if (isChanged(this, has)) noteRemoval(this);
      return reflectApply(clear, this, []);
    },
  });
}

export function guardCollections(): void {
  const { forEach: eachOfMap, clear: clearMap, set } = Map.prototype;
  const { forEach: eachOfSet, clear: clearSet, add } = Set.prototype;
  const noteMap = (target: object): void =>
    noteContents(target as Contents, { forEach: eachOfMap, clear: clearMap, put: set });
  const noteSet = (target: object): void =>
    noteContents(target as Contents, { forEach: eachOfSet, clear: clearSet, put: add });
  guardMap(Map.prototype, noteMap);
  guardMap(WeakMap.prototype, null);
  guardSet(Set.prototype, noteSet);
  guardSet(WeakSet.prototype, null);
  guardClear(Map.prototype, noteMap);
  guardClear(Set.prototype, noteSet);
  // These fill new collections without calling `set` or `add`.
  faultAtImport(Map, ["groupBy"]);
  faultAtImport(Set.prototype, ["union", "symmetricDifference"]);
}
