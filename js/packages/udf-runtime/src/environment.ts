/**
 * `process.env`: reads come from the bundle's variables and are recorded; writes do not reach them
 * (3.9).
 */
import { NativeError, reflectGet } from "./primordials.ts";
import { executing, realm } from "./state.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;

function readVariable(name: string): string | undefined {
  const { env } = realm.settings;
  if (!NAME.test(name)) {
    if (name === "toJSON" || name.startsWith("__")) return undefined;
    throw new NativeError(`Environment variable name "${name}" is invalid`);
  }
  const execution = executing();
  if (execution === null) realm.importEnvRead.add(name);
  else (execution.envRead ??= new Set()).add(name);
  return Object.hasOwn(env, name) ? env[name] : undefined;
}

export function createProcess(): { env: Record<string, string> } {
  const env = new Proxy(
    {},
    {
      get(target, property, receiver): unknown {
        if (typeof property !== "string") return reflectGet(target, property, receiver);
        const value = readVariable(property);
        if (value === undefined && property === "inspect") return () => "[process.env]";
        return value;
      },
    },
  );
  return { env };
}
