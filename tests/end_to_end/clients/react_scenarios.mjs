// Runs scenarios of react_page.tsx in headless Chromium, each in a session of its own.
// Usage: node react_scenarios.mjs BACKEND_URL, on standard input the tokens by name;
// prints {scenario: {seen: [...], ...}, errors: [...]}
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { launchBrowser } from "./browser.mjs";

const DEADLINE_MS = 90_000;
const backend = process.argv[2];
const tokens = JSON.parse(await text(process.stdin));
const errors = [];

/** Waits until the last thing seen is this. */
const last = (page, wanted) =>
  page.waitForFunction(
    (text) => JSON.stringify(window.seen.at(-1)) === text,
    JSON.stringify(wanted),
    { polling: 20 },
  );

const add = (page, room, numbers) =>
  page.evaluate((args) => window.call("add", args), { room, numbers });

const scenarios = {
  async queries(page) {
    await page.evaluate(() => window.showList(null));
    await page.evaluate(() => window.showList("queries"));
    await last(page, { room: "queries", list: [], isSame: true });
    await add(page, "queries", [1]);
    await last(page, { room: "queries", list: [1], isSame: true });
    await page.evaluate(() => window.showList("closed"));
    await last(page, { caught: { reason: "closed" } });
  },

  // The answers of the server are held back until the optimistic update shows.
  async optimism(page, answers) {
    await page.evaluate(() => window.showSender("optimism"));
    await last(page, { list: [] });
    for (const [numbers, shown, kept] of [
      [[1], [1], [1]],
      [[13], [1, 13], [1]],
      [[2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]],
    ]) {
      answers.hold();
      const sent = page.evaluate((all) => Promise.all(all.map(window.send)), numbers);
      await last(page, { list: shown });
      answers.release();
      await sent;
      await last(page, { list: kept });
    }
    return { answers: await page.evaluate(() => window.answers) };
  },

  async pages(page) {
    const numbers = Array.from({ length: 10 }, (_, at) => 100 * (at + 1));
    await add(page, "pages", numbers);
    await page.evaluate(() => window.showPages("pages"));
    await last(page, { results: numbers.slice(0, 3), status: "CanLoadMore" });
    await page.evaluate(() => window.loadMore(3));
    await last(page, { results: numbers.slice(0, 6), status: "CanLoadMore" });
    // The pages that are shown grow and shrink with what is written into them.
    await add(page, "pages", [250]);
    await last(page, { results: [100, 200, 250, 300, 400, 500, 600], status: "CanLoadMore" });
    await page.evaluate(() => window.call("remove", { room: "pages", number: 300 }));
    await last(page, { results: [100, 200, 250, 400, 500, 600], status: "CanLoadMore" });
    // A page that has grown too long is split in two.
    const many = Array.from({ length: 12 }, (_, at) => 101 + at);
    await add(page, "pages", many);
    const grown = [100, ...many, 200, 250, 400, 500, 600];
    await last(page, { results: grown, status: "CanLoadMore" });
    await page.evaluate(() => window.loadMore(100));
    await last(page, { results: [...grown, 700, 800, 900, 1000], status: "Exhausted" });
  },

  async account(page) {
    await page.evaluate(() => window.showAccount());
    await last(page, "loading");
    await page.evaluate(() => window.signOut());
    await last(page, "signed out");
    await page.evaluate((token) => window.signIn([token]), tokens.ada);
    await last(page, { me: "Ada" });
    await page.evaluate(() => window.signOut());
    await last(page, "signed out");
    await page.evaluate((token) => window.signIn([token]), tokens.grace);
    await last(page, { me: "Grace" });
  },

  async forged(page) {
    await page.evaluate(() => window.showAccount());
    await page.evaluate((token) => window.signIn([token]), tokens.forged);
    await last(page, "signed out");
    return { fetches: await page.evaluate(() => window.fetches()) };
  },

  // The page is signed in with a token that ends soon, and gets others when it asks again.
  async renewed(page) {
    await page.evaluate(() => window.showAccount());
    await page.evaluate((given) => window.signIn(given), tokens.short);
    await last(page, { me: "Ada, last" });
  },
};

const bundle = await build({
  entryPoints: [fileURLToPath(new URL("react_page.tsx", import.meta.url))],
  bundle: true,
  write: false,
  format: "iife",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
});
const script = bundle.outputFiles[0].text.replaceAll("</script", "<\\/script");
const html = `<!doctype html><div id="root"></div><script>${script}</script>`;
const server = createServer((_request, response) => {
  response.setHeader("Content-Type", "text/html; charset=utf-8").end(html);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await launchBrowser();

/** What the server says to the page's sockets can be held back. */
async function holdAnswers(page) {
  const held = [];
  let isHolding = false;
  await page.routeWebSocket(/\/sync$/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      if (isHolding) held.push(() => socket.send(message));
      else socket.send(message);
    });
  });
  return {
    hold: () => (isHolding = true),
    release: () => {
      isHolding = false;
      for (const send of held.splice(0)) send();
    },
  };
}

async function run(name, scenario) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  let connections = 0;
  page.on("websocket", () => (connections += 1));
  page.on("pageerror", (error) => errors.push(`${name}: ${error.message}`));
  const answers = await holdAnswers(page);
  await page.goto(`http://127.0.0.1:${server.address().port}/?backend=${backend}`);
  let more = {};
  try {
    more = await scenario(page, answers);
  } catch (error) {
    errors.push(`${name}: ${error.message}`);
  }
  return [name, { ...more, connections, seen: await page.evaluate(() => window.seen) }];
}

try {
  const done = await Promise.all(Object.entries(scenarios).map((entry) => run(...entry)));
  console.log(JSON.stringify({ ...Object.fromEntries(done), errors }));
} finally {
  await browser.close();
  server.close();
}
