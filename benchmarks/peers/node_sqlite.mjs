// Node's own SQLite behind Node's own HTTP server: what a small backend by hand costs.
// Same paths, arguments and answers as the Convex HTTP API, so one load generator drives all peers.
// Every mutation is one transaction in WAL mode with synchronous=FULL: an fdatasync per commit.
// Usage: node node_sqlite.mjs PORT DATABASE_FILE
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { WebSocketServer } from "ws";

const [port, file] = process.argv.slice(2);
const db = new DatabaseSync(file);
db.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE messages (
    id TEXT PRIMARY KEY, creation_time REAL NOT NULL,
    channel TEXT NOT NULL, author TEXT NOT NULL, body TEXT NOT NULL
  );
  CREATE INDEX by_channel ON messages (channel, creation_time);
  CREATE TABLE members (id TEXT PRIMARY KEY, name TEXT NOT NULL, last_body TEXT NOT NULL);
`);
const begin = db.prepare("BEGIN IMMEDIATE");
const commit = db.prepare("COMMIT");
const rollback = db.prepare("ROLLBACK");
const newest = db.prepare(
  `SELECT id AS _id, creation_time AS _creationTime, channel, author, body FROM messages
   WHERE channel = ? ORDER BY creation_time DESC LIMIT 20`,
);
const insertMessage = db.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?)");
const insertMember = db.prepare("INSERT INTO members VALUES (?, ?, '')");
const patchMember = db.prepare("UPDATE members SET last_body = ? WHERE id = ?");

let lastCreationTime = 0;
function nextCreationTime() {
  lastCreationTime = Math.max(Date.now(), lastCreationTime + 0.001);
  return lastCreationTime;
}

function transaction(work) {
  begin.run();
  try {
    const value = work();
    commit.run();
    return value;
  } catch (error) {
    rollback.run();
    throw error;
  }
}

function insert(channel, author, body) {
  const id = randomUUID();
  insertMessage.run(id, nextCreationTime(), channel, author, body);
  return id;
}

const functions = {
  "messages:list": ({ channel }) => newest.all(channel),
  "messages:send": ({ channel, author, body }) => {
    const id = transaction(() => {
      const id = insert(channel, author, body);
      if (patchMember.run(body, author).changes !== 1) throw new Error("no such member");
      return id;
    });
    publish(channel);
    return id;
  },
  "seed:messages": ({ from, to, channels, body }) =>
    transaction(() => {
      for (let number = from; number < to; number++) {
        insert(`channel-${number % channels}`, "seed", `${number} ${body}`);
      }
      return null;
    }),
  "seed:members": ({ count }) =>
    transaction(() =>
      Array.from({ length: count }, (_, number) => {
        const id = randomUUID();
        insertMember.run(id, `member-${number}`);
        return id;
      }),
    ),
};

const subscribers = new Map();
function publish(channel) {
  const sockets = subscribers.get(channel);
  if (sockets === undefined) return;
  const message = JSON.stringify(newest.all(channel));
  for (const socket of sockets) socket.send(message);
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const { path, args } = JSON.parse(Buffer.concat(chunks).toString());
    const body = JSON.stringify({ status: "success", value: functions[path](args[0]) });
    response.writeHead(200, {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
    });
    response.end(body);
  });
});
new WebSocketServer({ server }).on("connection", (socket, request) => {
  const channel = new URL(request.url, "http://localhost").searchParams.get("channel");
  if (!subscribers.has(channel)) subscribers.set(channel, new Set());
  subscribers.get(channel).add(socket);
  socket.on("close", () => subscribers.get(channel).delete(socket));
  socket.send(JSON.stringify(newest.all(channel)));
});
server.listen(Number(port), "127.0.0.1");
