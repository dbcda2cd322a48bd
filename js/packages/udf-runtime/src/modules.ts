/** The user's modules: lazy thunks that the bundle's script left, evaluated at most once each. */
import { beginModuleLines, endModuleLines } from "./console.ts";
import { CallError } from "./errors.ts";
import { defineProperty, NativePromise, NativeTypeError } from "./primordials.ts";
import { executing } from "./state.ts";

export type Namespace = Readonly<Record<string, unknown>>;

interface BundleGlobal {
  __fenchelModules?: Record<string, () => Namespace>;
  __fenchelImports?: readonly (() => Promise<Namespace>)[];
}

let thunks: Record<string, () => Namespace> = {};
let imports: readonly (() => Promise<Namespace>)[] = [];
const namespaces = new Map<string, Namespace>();

/** Takes the thunks from the global object, so that user code never sees them. */
export function takeModules(): void {
  const bundle = globalThis as BundleGlobal;
  if (bundle.__fenchelModules === undefined) return;
  thunks = { ...bundle.__fenchelModules };
  imports = bundle.__fenchelImports ?? [];
  delete bundle.__fenchelModules;
  delete bundle.__fenchelImports;
}

/** What the bundler writes for `import()` of another module, and for `import.meta` (1.3). */
export function installImports(): void {
  defineProperty(globalThis, "__fenchelImport", { value: importModule });
  defineProperty(globalThis, "__fenchelImportMeta", {
    get() {
      throw new NativeTypeError("import.meta unsupported");
    },
    // Warm realms put a getter of their own in its place.
    configurable: true,
  });
}

function importModule(_: unknown, index: number): Promise<Namespace> {
  const thunk = executing()?.kind === "action" ? imports[index] : undefined;
  if (thunk !== undefined) return thunk();
  return NativePromise.reject(new NativeTypeError("dynamic module import unsupported"));
}

export function modulePaths(): string[] {
  return Object.keys(thunks).filter((path) => !path.startsWith("_deps/"));
}

/** The module's namespace; throws what its evaluation threw, every time. */
export function loadModule(path: string): Namespace {
  const loaded = namespaces.get(path);
  if (loaded !== undefined) return loaded;
  takeModules();
  const thunk = thunks[path];
  if (thunk === undefined) {
    throw new CallError(
      `Couldn't find JavaScript module '${path}'. Did you forget to run \`npx convex dev\`?`,
    );
  }
  beginModuleLines(path);
  try {
    const namespace = thunk();
    namespaces.set(path, namespace);
    return namespace;
  } finally {
    endModuleLines();
  }
}

/**
 * Evaluates all modules, in the bundle's order. Raises what a module throws: an app with such a
 * module does not live in a snapshot, where errors have no stack and where this very lack may be
 * what made the module fail.
 */
export function evaluateModules(): void {
  takeModules();
  for (const path of modulePaths()) loadModule(path);
}
