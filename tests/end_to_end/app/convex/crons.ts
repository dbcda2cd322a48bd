import { cronJobs } from "convex/server";
import { api } from "./_generated/api";

const crons = cronJobs();

// An interval begins with the push.
crons.interval("note the deploy", { hours: 24 }, api.notes.add, {
  topic: "crons",
  body: "by a cron",
});

crons.cron("far away", "0 0 29 2 *", api.notes.add, { topic: "crons", body: "never" });

export default crons;
