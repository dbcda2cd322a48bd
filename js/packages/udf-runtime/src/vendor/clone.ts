// Not the whole entry: that one brings a DOMException of its own.
import "core-js-pure/modules/es.array.iterator.js";
import "core-js-pure/modules/es.map.js";
import "core-js-pure/modules/es.object.to-string.js";
import "core-js-pure/modules/es.set.js";
import "core-js-pure/modules/web.structured-clone.js";
import path from "core-js-pure/internals/path.js";

export const structuredClone = path.structuredClone;

// Shared between copies of the package, of which there is one here.
delete (globalThis as Record<string, unknown>)["__core-js_shared__"];
