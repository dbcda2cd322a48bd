/**
 * Bundles what the Python package ships: worker, snapshot builder, realm runtime, the isolate
 * binding and esbuild for this platform, and the licences of everything bundled. Output:
 * src/fenchel/_bundled (not in git).
 */
import * as esbuild from "esbuild";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const here = path.dirname(fileURLToPath(import.meta.url));
const output = path.join(here, "..", "src", "fenchel", "_bundled");

const worker = path.join(here, "packages", "isolate-worker", "src");
const runtime = path.join(here, "packages", "udf-runtime", "src");

/** Bundles for Node 24. */
function bundleForNode(entry, name) {
  return esbuild.build({
    entryPoints: [path.join(worker, entry)],
    outfile: path.join(output, name),
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    metafile: true,
    legalComments: "none",
  });
}

/** What esbuild puts around a module that is loaded at its first use, and what belongs there. */
const LOADED_ONCE = [
  ["(fn, res, err) =>", "(fn, res, body = fn) =>"],
  ["if (err) throw err[0];", ""],
  ["throw err = [e], e;", "throw fn = body, e;"],
];

/**
 * Lets a module be loaded again after that failed: the app may have used it first at the end of the
 * stack, and would get that error ever after, as would later executions in the same realm.
 */
function loadAgain(script) {
  return LOADED_ONCE.reduce((text, [helper, ours]) => {
    if (text.split(helper).length !== 2) throw new Error(`esbuild's helper is without ${helper}`);
    return text.replace(helper, ours);
  }, script);
}

/** One script for a bare V8 context; the nonce is filled in for every snapshot made from it. */
async function bundleRuntime() {
  const outfile = path.join(output, "udf-runtime.js");
  const built = await esbuild.build({
    entryPoints: [path.join(runtime, "index.ts")],
    outfile,
    write: false,
    bundle: true,
    platform: "browser",
    format: "iife",
    target: "es2023",
    metafile: true,
    legalComments: "none",
    banner: { js: '(function (__fenchelNonce) { "use strict";' },
    footer: { js: '})("__FENCHEL_NONCE__");' },
  });
  fs.writeFileSync(outfile, loadAgain(built.outputFiles[0].text));
  return built;
}

/** What a package gets instead of globals and of packages that it depends on, by its name. */
const standIn = (file) => path.join(runtime, "stand_ins", file);
const standIns = {
  url: {
    inject: [standIn("shared_array_buffer.ts")],
    alias: {
      tr46: standIn("tr46.ts"),
      "@exodus/bytes/encoding.js": standIn("legacy_encodings.ts"),
    },
  },
};

/**
 * A script whose value makes the package's exports, given what the runtime offers as `fenchel`:
 * loaded into a context when it is needed.
 */
function bundleVendor(name) {
  return esbuild.build({
    entryPoints: [path.join(runtime, "vendor", `${name}.ts`)],
    outfile: path.join(output, `udf-vendor-${name}.js`),
    bundle: true,
    platform: "neutral",
    // Not "browser": those variants count on a native TextEncoder.
    mainFields: ["module", "main"],
    format: "iife",
    globalName: "vendor",
    target: "es2023",
    ...standIns[name],
    minifyWhitespace: true,
    minifySyntax: true,
    metafile: true,
    legalComments: "none",
    banner: { js: '((fenchel) => { "use strict";' },
    footer: { js: "return vendor; })" },
  });
}

/** A module of the app's own kind: what inline queries import. */
function bundleReplWrappers() {
  return esbuild.build({
    entryPoints: [path.join(runtime, "repl_wrappers.ts")],
    outfile: path.join(output, "repl-wrappers.js"),
    bundle: true,
    platform: "neutral",
    format: "esm",
    target: "es2022",
    minifyWhitespace: true,
    metafile: true,
    legalComments: "none",
  });
}

/** One for each file of the folder. */
function vendorNames() {
  const files = fs.readdirSync(path.join(runtime, "vendor"));
  return files.filter((file) => !file.endsWith(".d.ts")).map((file) => path.parse(file).name);
}

/** A script whose value is a thunk that installs the guard of realms that are used again. */
function bundleGuard() {
  return esbuild.build({
    entryPoints: [path.join(runtime, "guard", "index.ts")],
    outfile: path.join(output, "udf-guard.js"),
    bundle: true,
    platform: "browser",
    format: "iife",
    globalName: "guard",
    target: "es2023",
    metafile: true,
    legalComments: "none",
    banner: { js: '((webApis) => { "use strict";' },
    footer: { js: "return guard.default(webApis); })" },
  });
}

/** The prebuilt isolated-vm for this platform and the running Node's ABI. */
function isolatedVmPrebuild() {
  const folder = path.join(
    path.dirname(require.resolve("isolated-vm/package.json")),
    "prebuilds",
    `${process.platform}-${process.arch}`,
  );
  const isGlibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  const libc = process.platform === "linux" ? (isGlibc ? ".glibc" : ".musl") : "";
  return path.join(folder, `isolated-vm.abi${process.versions.modules}${libc}.node`);
}

/** The native esbuild program from its optional package for this platform. */
function esbuildProgram() {
  const name = `@esbuild/${process.platform}-${process.arch}`;
  const program = process.platform === "win32" ? "esbuild.exe" : "bin/esbuild";
  const owner = createRequire(require.resolve("esbuild/package.json"));
  return path.join(path.dirname(owner.resolve(`${name}/package.json`)), program);
}

/** Names of the packages from which a build took files. */
function packagesOf(metafiles) {
  const names = new Set(["isolated-vm", "esbuild"]);
  for (const { inputs } of metafiles) {
    for (const input of Object.keys(inputs)) {
      const match = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
      if (match !== null) names.add(match[1]);
    }
  }
  return [...names].sort();
}

function licenceOf(name) {
  const folder = path.join(here, "node_modules", name);
  const { version, license } = JSON.parse(
    fs.readFileSync(path.join(folder, "package.json"), "utf8"),
  );
  const file = fs.readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? "" : fs.readFileSync(path.join(folder, file), "utf8").trim();
  return `## ${name} ${version} (${license})\n\n${text}\n`;
}

function copyProgram(from, name) {
  const to = path.join(output, name);
  fs.rmSync(to, { force: true });
  fs.copyFileSync(from, to);
  fs.chmodSync(to, 0o755);
}

fs.mkdirSync(output, { recursive: true });
const builds = await Promise.all([
  bundleForNode("main.ts", "isolate-worker.cjs"),
  bundleForNode("snapshot_builder.ts", "snapshot-builder.cjs"),
  bundleRuntime(),
  bundleGuard(),
  bundleReplWrappers(),
  ...vendorNames().map(bundleVendor),
]);
copyProgram(isolatedVmPrebuild(), "isolated_vm.node");
copyProgram(esbuildProgram(), process.platform === "win32" ? "esbuild.exe" : "esbuild");
const licences = packagesOf(builds.map(({ metafile }) => metafile)).map(licenceOf);
fs.writeFileSync(path.join(output, "THIRD_PARTY_LICENSES.md"), licences.join("\n"));
