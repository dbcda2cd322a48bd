import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();
crons.interval("interval", { hours: 1 }, internal.runs.add, { name: "interval" });
crons.hourly("hourly", { minuteUTC: 10 }, internal.runs.add, { name: "hourly" });
crons.daily("daily", { hourUTC: 3, minuteUTC: 15 }, internal.runs.add, { name: "daily" });
crons.cron("cron", "0 4 * * *", internal.runs.add, { name: "cron" });
crons.monthly("monthly", { day: 31, hourUTC: 0, minuteUTC: 0 }, internal.runs.addAction);
export default crons;
