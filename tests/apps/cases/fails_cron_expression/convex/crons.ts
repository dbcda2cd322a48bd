import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();
crons.cron("every so often", "* * *", internal.rows.tidy);
export default crons;
