// The benchmark app as a Durable Object: one object holds all tables, as one deployment does.
// Same paths, arguments and answers as the Convex HTTP API, so one load generator drives all peers.
import { DurableObject } from "cloudflare:workers";

const NEWEST = `
  SELECT id AS _id, creation_time AS _creationTime, channel, author, body FROM messages
  WHERE channel = ? ORDER BY creation_time DESC LIMIT 20`;

export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.lastCreationTime = 0;
    this.sql.exec(`
      CREATE TABLE IF NOT EXISTS messages (
        id TEXT PRIMARY KEY, creation_time REAL NOT NULL,
        channel TEXT NOT NULL, author TEXT NOT NULL, body TEXT NOT NULL
      );
      CREATE INDEX IF NOT EXISTS by_channel ON messages (channel, creation_time);
      CREATE TABLE IF NOT EXISTS members (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, last_body TEXT NOT NULL
      );
    `);
  }

  async fetch(request) {
    if (request.headers.get("Upgrade") === "websocket") return this.subscribe(request);
    const { path, args } = await request.json();
    const value = this.functions[path].call(this, args[0]);
    return Response.json({ status: "success", value });
  }

  functions = {
    "messages:list": ({ channel }) => this.newest(channel),
    "messages:send": ({ channel, author, body }) => {
      const id = this.ctx.storage.transactionSync(() => {
        const id = this.insert(channel, author, body);
        const patched = this.sql.exec("UPDATE members SET last_body = ? WHERE id = ?", body, author);
        if (patched.rowsWritten !== 1) throw new Error("no such member");
        return id;
      });
      this.publish(channel);
      return id;
    },
    "seed:messages": ({ from, to, channels, body }) =>
      this.ctx.storage.transactionSync(() => {
        for (let number = from; number < to; number++) {
          this.insert(`channel-${number % channels}`, "seed", `${number} ${body}`);
        }
        return null;
      }),
    "seed:members": ({ count }) =>
      this.ctx.storage.transactionSync(() =>
        Array.from({ length: count }, (_, number) => {
          const id = crypto.randomUUID();
          this.sql.exec("INSERT INTO members VALUES (?, ?, '')", id, `member-${number}`);
          return id;
        }),
      ),
  };

  newest(channel) {
    return this.sql.exec(NEWEST, channel).toArray();
  }

  insert(channel, author, body) {
    const id = crypto.randomUUID();
    this.lastCreationTime = Math.max(Date.now(), this.lastCreationTime + 0.001);
    const row = [id, this.lastCreationTime, channel, author, body];
    this.sql.exec("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", ...row);
    return id;
  }

  // The output gate holds these messages, like the response, until the write is confirmed.
  publish(channel) {
    const sockets = this.ctx.getWebSockets(channel);
    if (sockets.length === 0) return;
    const message = JSON.stringify(this.newest(channel));
    for (const socket of sockets) socket.send(message);
  }

  subscribe(request) {
    const channel = new URL(request.url).searchParams.get("channel");
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server, [channel]);
    server.send(JSON.stringify(this.newest(channel)));
    return new Response(null, { status: 101, webSocket: client });
  }
}

export default {
  fetch: (request, env) => env.ROOM.get(env.ROOM.idFromName("benchmark")).fetch(request),
};
