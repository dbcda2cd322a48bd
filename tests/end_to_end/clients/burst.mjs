// Many official clients that send at the same time; prints one line for each acknowledged message.
// Usage: node burst.mjs URL TOPIC WEBSOCKET_CLIENTS HTTP_CLIENTS MESSAGES_PER_CLIENT
//
// WebSocket clients send again what was not acknowledged when the connection broke; HTTP clients do not.
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";

const [url, topic] = process.argv.slice(2);
const [webSocketClients, httpClients, messages] = process.argv.slice(4).map(Number);

async function send(client, body, options) {
  try {
    await client.mutation(api.notes.add, { topic, body }, options);
    process.stdout.write(`acknowledged ${body}\n`);
  } catch (error) {
    process.stdout.write(`failed ${body} ${error.message.replaceAll("\n", " ")}\n`);
  }
}

async function run(name, client, options) {
  const bodies = Array.from({ length: messages }, (_, index) => `${name}.${index}`);
  await Promise.all(bodies.map((body) => send(client, body, options)));
  await client.close?.();
}

const runs = [];
for (let index = 0; index < webSocketClients; index++) {
  runs.push(run(`ws${index}`, new ConvexClient(url, { logger: false }), undefined));
}
for (let index = 0; index < httpClients; index++) {
  runs.push(run(`http${index}`, new ConvexHttpClient(url, { logger: false }), { skipQueue: true }));
}
await Promise.all(runs);
