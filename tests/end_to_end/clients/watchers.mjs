// Many official WebSocket clients that watch a growing list and the number of the deployed release.
// Usage: node watchers.mjs CLIENTS TOPIC URL, then a line with the last release on standard input.
//
// Prints {seen: length} whenever all clients have a longer list. After the last release has reached
// all of them: {errors, breaks, releases, connections}. A break is a list that does not continue
// the one before it; `releases` has the numbers that each client saw, in their order.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";

const [count, topic, url] = process.argv.slice(2);
const errors = [];
let breaks = 0;
let seen = -1;
let onProgress = () => {};
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const note = (error) => errors.push(String(error.message ?? error));

function watch() {
  const logger = { logVerbose() {}, log() {}, warn() {}, error: (...words) => note(words.join(" ")) };
  const client = new ConvexClient(url, { logger });
  const watcher = { client, list: null, releases: [] };
  client.onUpdate(
    api.notes.list,
    { topic },
    (list) => {
      if (watcher.list?.some((body, index) => list[index] !== body)) breaks += 1;
      watcher.list = list;
      onProgress();
    },
    note,
  );
  client.onUpdate(
    api.release.number,
    {},
    (release) => {
      watcher.releases.push(release);
      onProgress();
    },
    note,
  );
  return watcher;
}

const watchers = Array.from({ length: Number(count) }, watch);
onProgress = () => {
  const shortest = Math.min(...watchers.map((watcher) => watcher.list?.length ?? -1));
  if (shortest > seen) print({ seen: (seen = shortest) });
};
const [last] = await once(createInterface({ input: process.stdin }), "line");
await new Promise((resolve) => {
  onProgress = () => {
    if (watchers.every(({ releases }) => releases.at(-1) === Number(last))) resolve();
  };
  onProgress();
});
print({
  errors,
  breaks,
  releases: watchers.map(({ releases }) => releases),
  connections: watchers.map(({ client }) => client.client.connectionState().connectionCount),
});
process.exit(0);
