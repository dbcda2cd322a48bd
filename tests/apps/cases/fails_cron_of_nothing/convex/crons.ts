import { cronJobs, makeFunctionReference } from "convex/server";

const crons = cronJobs();
crons.daily("tidy up", { hourUTC: 1, minuteUTC: 0 }, makeFunctionReference<"mutation">("rows:nothing"));
export default crons;
