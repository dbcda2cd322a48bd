// One official npm client, driven line by line: a JSON command on stdin, JSON events on stdout.
// Usage: node driver.mjs http|websocket URL
//
// Command {id, op, path, args}: op is query, mutation, action, consistentQuery, or function (for
// admins, of any type), subscribe, unsubscribe with the id of a subscription as path, or actAs with
// an admin key as path and an identity, or nothing, as args.
// Event   {id, value} or {id, error, data}: the answer; for a subscription one event per update.
import { createInterface } from "node:readline";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { ConvexError, convexToJson, jsonToConvex } from "convex/values";

const [kind, url] = process.argv.slice(2);
// What the client itself prints would stand between the events.
const QUIET = { logger: false };
const client = kind === "http" ? new ConvexHttpClient(url, QUIET) : new ConvexClient(url, QUIET);

function emit(id, value) {
  process.stdout.write(`${JSON.stringify({ id, value: convexToJson(value ?? null) })}\n`);
}

function emitError(id, error) {
  const data = error instanceof ConvexError ? error.data : undefined;
  process.stdout.write(`${JSON.stringify({ id, error: error.message, data })}\n`);
}

const subscriptions = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, path, args } = JSON.parse(line);
  if (op === "unsubscribe") {
    subscriptions.get(path)();
    emit(id, null);
    continue;
  }
  if (op === "actAs") {
    client.setAdminAuth(path, Object.keys(args).length > 0 ? args : undefined);
    emit(id, null);
    continue;
  }
  const reference = makeFunctionReference(path);
  const values = jsonToConvex(args);
  if (op === "function") {
    client.function(reference, undefined, values).then(
      (value) => emit(id, value),
      (error) => emitError(id, error),
    );
  } else if (op === "subscribe") {
    const onError = (error) => emitError(id, error);
    const end = client.onUpdate(reference, values, (value) => emit(id, value), onError);
    subscriptions.set(id, end);
  } else {
    client[op](reference, values).then((value) => emit(id, value), (error) => emitError(id, error));
  }
}
await client.close?.();
