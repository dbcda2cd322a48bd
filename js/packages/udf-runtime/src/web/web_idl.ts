/** Conversions and shapes that Web IDL prescribes for all of our own web APIs. */

/** `ByteString`: every unit fits a byte. */
export function toByteString(value: unknown): string {
  const text = String(value);
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0xff) {
      throw new TypeError(`Character at index ${index} of a header is beyond U+00FF`);
    }
  }
  return text;
}

/** `USVString`: lone surrogates become U+FFFD. */
export function toUsvString(value: unknown): string {
  return (String(value) as string & { toWellFormed(): string }).toWellFormed();
}

export function requireArguments(given: number, wanted: number, what: string): void {
  if (given < wanted) {
    const plural = wanted === 1 ? "argument" : "arguments";
    throw new TypeError(`${what} requires ${wanted} ${plural}, but only ${given} present`);
  }
}

/** A dictionary argument: an object, or nothing. */
export function toDictionary(value: unknown, what: string): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" && typeof value !== "function") {
    throw new TypeError(`${what} is not an object`);
  }
  return value as Record<string, unknown>;
}

type Class = { readonly prototype: object };

/**
 * Members of interfaces are enumerable, those of JavaScript classes are not. Gives the class its
 * name, which the build may change, and the tag.
 */
export function finishInterface(constructor: Class, name: string): void {
  const { prototype } = constructor;
  for (const holder of [prototype, constructor] as object[]) {
    for (const member of Object.getOwnPropertyNames(holder)) {
      if (["constructor", "prototype", "length", "name"].includes(member)) continue;
      Object.defineProperty(holder, member, { enumerable: true });
    }
  }
  Object.defineProperty(prototype, Symbol.toStringTag, {
    value: name,
    configurable: true,
  });
  Object.defineProperty(constructor, "name", { value: name, configurable: true });
}

/** Iterates lists that may change meanwhile, as `iterable<>` declarations demand. */
export function createPairIterator<T>(
  name: string,
  at: (index: number) => T | undefined,
): IterableIterator<T> {
  let index = 0;
  const iterator = Object.create(iteratorPrototype(name)) as { next: () => IteratorResult<T> };
  steps.set(iterator, () => {
    const value = at(index++);
    return value === undefined ? { value: undefined, done: true } : { value, done: false };
  });
  return iterator as IterableIterator<T>;
}

const steps = new WeakMap<object, () => IteratorResult<unknown>>();
const iteratorPrototypes = new Map<string, object>();

function iteratorPrototype(name: string): object {
  let prototype = iteratorPrototypes.get(name);
  if (prototype === undefined) {
    const base = Object.getPrototypeOf(Object.getPrototypeOf([].values())) as object;
    prototype = Object.create(base, {
      next: {
        value: function next(this: object): IteratorResult<unknown> {
          const step = steps.get(this);
          if (step === undefined) throw new TypeError("next() called on something else");
          return step();
        },
        writable: true,
        enumerable: true,
        configurable: true,
      },
      [Symbol.toStringTag]: { value: `${name} Iterator`, configurable: true },
    }) as object;
    iteratorPrototypes.set(name, prototype);
  }
  return prototype;
}
