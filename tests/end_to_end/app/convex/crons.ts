import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();

// An interval begins with the push.
crons.interval("daily from now", { hours: 24 }, internal.repeated.run, { cron: "daily" });

crons.cron("far away", "0 0 29 2 *", internal.repeated.run, { cron: "leap day" });

export default crons;
