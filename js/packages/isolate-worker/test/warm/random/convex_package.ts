/** The convex package as one script: what apps have of it after the CLI has bundled them. */
import * as esbuild from "esbuild";

const EXPORTS = `export * from "convex/values"; export * from "convex/server";`;

/** Text that binds its exports to `convex`. */
export async function bundleConvex(): Promise<string> {
  const { outputFiles } = await esbuild.build({
    stdin: { contents: EXPORTS, resolveDir: import.meta.dirname },
    bundle: true,
    write: false,
    format: "iife",
    globalName: "convex",
    platform: "browser",
    target: "es2022",
    minifySyntax: true,
    keepNames: true,
    logLevel: "silent",
  });
  return outputFiles[0]?.text ?? "";
}
