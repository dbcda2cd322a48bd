// Official WebSocket clients whose connections are cut: what each of them saw, as one JSON line.
// Usage: node interrupted.mjs MUTATIONS TOPIC URL [TOPIC URL ...]
//
// Line {topic, answers: [value or error of each mutation], history: [the list at each update]}.
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";

const [mutations, ...pairs] = process.argv.slice(2);

async function run(topic, url) {
  const client = new ConvexClient(url, { logger: false });
  const history = [];
  const bodies = Array.from({ length: Number(mutations) }, (_, index) => `${index}`);
  const complete = new Promise((resolve) => {
    client.onUpdate(api.notes.list, { topic }, (list) => {
      history.push(list);
      if (list.length >= bodies.length) resolve();
    });
  });
  const sent = bodies.map((body) => client.mutation(api.notes.addNumbered, { topic }));
  const answers = await Promise.all(sent.map((call) => call.catch((error) => error.message)));
  await complete;
  process.stdout.write(`${JSON.stringify({ topic, answers, history })}\n`);
  await client.close();
}

const runs = [];
for (let index = 0; index < pairs.length; index += 2) runs.push(run(pairs[index], pairs[index + 1]));
await Promise.all(runs);
