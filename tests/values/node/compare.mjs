// Reads {"values": [JSON text of a value, …]} from stdin; writes what the official package makes of them.
import { compareValues, convexToJson, getConvexSize, jsonToConvex } from "convex/values";
import { text } from "node:stream/consumers";

const { values: texts } = JSON.parse(await text(process.stdin));
const values = texts.map((item) => jsonToConvex(JSON.parse(item)));
const signs = [];
for (let i = 0; i + 1 < values.length; i++) {
  signs.push(Math.sign(compareValues(values[i], values[i + 1])));
}
const order = values.map((_, i) => i).sort((a, b) => compareValues(values[a], values[b]));
process.stdout.write(
  JSON.stringify({
    encoded: values.map((value) => JSON.stringify(convexToJson(value))),
    sizes: values.map((value) => getConvexSize(value)),
    signs,
    order,
  }),
);
