// Many official clients that send at the same time; prints one line for each acknowledged message.
// Usage: node burst.mjs URL TOPIC WEBSOCKET_CLIENTS HTTP_CLIENTS MESSAGES_PER_CLIENT
//
// WebSocket clients send again what was not acknowledged when the connection broke; HTTP clients do
// not: they go on with further messages until one of all has failed.
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";

const [url, topic] = process.argv.slice(2);
const [webSocketClients, httpClients, messages] = process.argv.slice(4).map(Number);

let hasFailed = false;

async function send(client, body, options) {
  try {
    await client.mutation(api.notes.add, { topic, body }, options);
    process.stdout.write(`acknowledged ${body}\n`);
  } catch (error) {
    hasFailed = true;
    process.stdout.write(`failed ${body} ${error.message.replaceAll("\n", " ")}\n`);
  }
}

async function run(name, client, options) {
  const bodies = Array.from({ length: messages }, (_, index) => `${name}.${index}`);
  await Promise.all(bodies.map((body) => send(client, body, options)));
  if (client.close) return await client.close();
  for (let index = messages; !hasFailed; index++) await send(client, `${name}.${index}`, options);
}

const runs = [];
for (let index = 0; index < webSocketClients; index++) {
  runs.push(run(`ws${index}`, new ConvexClient(url, { logger: false }), undefined));
}
for (let index = 0; index < httpClients; index++) {
  runs.push(run(`http${index}`, new ConvexHttpClient(url, { logger: false }), { skipQueue: true }));
}
await Promise.all(runs);
