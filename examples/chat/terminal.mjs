// Shows messages in the terminal as they arrive, and sends a few so that there is something to see.
// Usage: node terminal.mjs URL
import { setTimeout as wait } from "node:timers/promises";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";

const GREETINGS = [
  ["Ada", "Hello! This was sent by the npm client through a WebSocket."],
  ["Grace", "And it came back to the terminal and to each open page as a live update."],
  ["Ada", "Open the page twice and write something: it appears in both, and here."],
];
const PAUSE_MS = 1500;

const client = new ConvexClient(process.argv[2]);
const shown = new Set();

client.onUpdate(api.messages.list, {}, (messages) => {
  for (const message of messages.toReversed()) {
    if (shown.has(message._id)) continue;
    shown.add(message._id);
    const time = new Date(message._creationTime).toLocaleTimeString();
    console.log(`  ${time}  ${message.author}: ${message.body}`);
  }
});

for (const [author, body] of GREETINGS) {
  await client.mutation(api.messages.send, { author, body });
  await wait(PAUSE_MS);
}
await client.action(api.messages.greet, { author: "Ada" });
