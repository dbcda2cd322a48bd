/** `FormData` (XMLHttpRequest standard). */
import { Blob, File } from "./blob.ts";
import { createPairIterator, finishInterface, requireArguments, toUsvString } from "./web_idl.ts";

export type FormDataValue = string | File;
type Entry = [name: string, value: FormDataValue];

function toValue(value: unknown, filename: unknown, hasFilename: boolean): FormDataValue {
  if (!(value instanceof Blob)) {
    if (hasFilename) throw new TypeError("A file name needs a Blob");
    return toUsvString(value);
  }
  if (value instanceof File && !hasFilename) return value;
  const name = hasFilename ? toUsvString(filename) : "blob";
  const options: Record<string, unknown> = { type: value.type };
  if (value instanceof File) options["lastModified"] = value.lastModified;
  return new File([value], name, options);
}

export class FormData {
  #entries: Entry[] = [];

  constructor(form?: unknown) {
    if (form !== undefined) throw new TypeError("FormData of a form element is not supported");
  }

  append(name: unknown, value: unknown, filename?: unknown): void {
    requireArguments(arguments.length, 2, "FormData.append");
    const key = toUsvString(name);
    this.#entries.push([key, toValue(value, filename, arguments.length > 2)]);
  }

  delete(name: unknown): void {
    requireArguments(arguments.length, 1, "FormData.delete");
    const key = toUsvString(name);
    this.#entries = this.#entries.filter(([other]) => other !== key);
  }

  get(name: unknown): FormDataValue | null {
    requireArguments(arguments.length, 1, "FormData.get");
    const key = toUsvString(name);
    return this.#entries.find(([other]) => other === key)?.[1] ?? null;
  }

  getAll(name: unknown): FormDataValue[] {
    requireArguments(arguments.length, 1, "FormData.getAll");
    const key = toUsvString(name);
    return this.#entries.filter(([other]) => other === key).map(([, value]) => value);
  }

  has(name: unknown): boolean {
    requireArguments(arguments.length, 1, "FormData.has");
    const key = toUsvString(name);
    return this.#entries.some(([other]) => other === key);
  }

  set(name: unknown, value: unknown, filename?: unknown): void {
    requireArguments(arguments.length, 2, "FormData.set");
    const key = toUsvString(name);
    const entry: Entry = [key, toValue(value, filename, arguments.length > 2)];
    const first = this.#entries.findIndex(([other]) => other === key);
    if (first === -1) this.#entries.push(entry);
    else {
      this.#entries[first] = entry;
      this.#entries = this.#entries.filter(([other], index) => other !== key || index === first);
    }
  }

  forEach(callback: (value: FormDataValue, name: string, form: FormData) => void, self?: unknown) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  entries(): IterableIterator<Entry> {
    return createPairIterator("FormData", (index) => {
      const entry = this.#entries[index];
      return entry && [entry[0], entry[1]];
    });
  }

  keys(): IterableIterator<string> {
    return createPairIterator("FormData", (index) => this.#entries[index]?.[0]);
  }

  values(): IterableIterator<FormDataValue> {
    return createPairIterator("FormData", (index) => this.#entries[index]?.[1]);
  }

  declare [Symbol.iterator]: () => IterableIterator<Entry>;
}

Object.defineProperty(FormData.prototype, Symbol.iterator, {
  value: FormData.prototype.entries,
  writable: true,
  configurable: true,
});
finishInterface(FormData, "FormData");
