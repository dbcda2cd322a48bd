/**
 * Bundles a folder of Convex functions as a push does: the CLI's modules first, then the one script
 * of the app.
 */
import * as esbuild from "esbuild";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export interface AppBundle {
  script: string;
  sourceMap: string;
  modules: string[];
}

async function bundleModules(
  convexFolder: string,
  entries: string[],
  output: string,
): Promise<void> {
  await esbuild.build({
    absWorkingDir: convexFolder,
    entryPoints: entries,
    outdir: output,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "esnext",
    minifyIdentifiers: true,
    minifySyntax: true,
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    chunkNames: "_deps/[hash]",
    logLevel: "silent",
  });
}

function listModules(folder: string): string[] {
  const entries = fs.readdirSync(folder, { recursive: true }) as string[];
  return entries.filter((name) => name.endsWith(".js")).sort();
}

/** The app's script made from the TypeScript files `entries` of `convexFolder`. */
export async function bundleApp(convexFolder: string, entries: string[]): Promise<AppBundle> {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "fenchel-test-"));
  try {
    await bundleModules(convexFolder, entries, scratch);
    const modules = listModules(scratch);
    const thunks = modules.map((name) => `${JSON.stringify(name)}: () => require("./${name}")`);
    const result = await esbuild.build({
      absWorkingDir: scratch,
      stdin: {
        contents: `globalThis.__fenchelModules = {${thunks.join(",\n")}};`,
        resolveDir: scratch,
      },
      outfile: path.join(convexFolder, "..", "out", "app.js"),
      bundle: true,
      write: false,
      format: "iife",
      banner: { js: '"use strict";' },
      target: "es2022",
      sourcemap: "external",
      sourcesContent: false,
      logLevel: "silent",
    });
    const output = (suffix: string): string =>
      result.outputFiles.find((file) => file.path.endsWith(suffix))?.text ?? "";
    return { script: output("app.js"), sourceMap: output("app.js.map"), modules };
  } finally {
    fs.rmSync(scratch, { recursive: true });
  }
}
