/**
 * The one file that knows where V8 isolates come from: the prebuilt binding beside the bundled
 * worker.
 */
import type ivm from "isolated-vm";
import path from "node:path";

export type Isolate = ivm.Isolate;
export type Context = ivm.Context;
export type Script = ivm.Script;
export type Reference<T> = ivm.Reference<T>;
export type Snapshot = ivm.ExternalCopy<ArrayBuffer>;

interface Binding {
  ivm: typeof ivm;
}

/** The build leaves this file as CommonJS, where `require` loads native modules. */
declare const require: (path: string) => unknown;
declare const __dirname: string;

const binding = require(path.join(__dirname, "isolated_vm.node")) as Binding;

export const { Isolate, ExternalCopy } = binding.ivm;
