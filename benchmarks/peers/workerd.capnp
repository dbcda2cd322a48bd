# Cloudflare's workerd with one Durable Object that keeps its SQLite database on the local disk.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .room),
    # The folder is given on the command line: --directory-path disk=FOLDER
    (name = "disk", disk = (writable = true)),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);

const room :Workerd.Worker = (
  modules = [(name = "workerd_room.mjs", esModule = embed "workerd_room.mjs")],
  compatibilityDate = "2026-01-01",
  durableObjectNamespaces = [(className = "Room", uniqueKey = "benchmark", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "ROOM", durableObjectNamespace = "Room")],
);
