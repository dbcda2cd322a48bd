"""The app whose jobs are measured: plans them, runs them, and tells how they ended."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from benchmarks.deployed_app import DeployedApp
from benchmarks.peers.http_peer import call_mutation

# A fifth of what one mutation may schedule: on a busy machine that takes longer than it may run.
JOBS_PER_CALL = 200

_JOBS = """\
import {
  anyApi,
  internalActionGeneric as internalAction,
  internalMutationGeneric as internalMutation,
  mutationGeneric as mutation,
} from "convex/server";
import { v } from "convex/values";

/** Schedules numbered jobs for one moment. */
export const plan = mutation({
  args: { name: v.string(), first: v.number(), count: v.number(), due: v.number() },
  handler: async (ctx, { name, first, count, due }) => {
    const job = anyApi.jobs[name];
    for (let number = first; number < first + count; number++) {
      await ctx.scheduler.runAt(due, job, { number });
    }
    return null;
  },
});

export const mark = internalMutation({
  args: { number: v.number() },
  handler: async (ctx, { number }) => {
    await ctx.db.insert("marks", { number });
  },
});

export const act = internalAction({
  args: { number: v.number() },
  handler: async (ctx, args) => {
    await ctx.runMutation(anyApi.jobs.mark, args);
  },
});

/** The same from outside. */
export const add = mutation({
  args: { number: v.number() },
  handler: async (ctx, { number }) => await ctx.db.insert("marks", { number }),
});

export const hasMark = mutation({
  args: { number: v.number() },
  handler: async (ctx, { number }) =>
    (await ctx.db.query("marks").withIndex("by_number", (q) => q.eq("number", number)).first()) !==
    null,
});

/** How the newest jobs ended, and when the last of them did. */
export const ends = mutation({
  args: { count: v.number() },
  handler: async (ctx, { count }) => {
    const jobs = await ctx.db.system.query("_scheduled_functions").order("desc").take(count);
    return {
      succeeded: jobs.filter((job) => job.state.kind === "success").length,
      failed: jobs.filter((job) => job.state.kind === "failed").length,
      last: Math.max(...jobs.map((job) => job.completedTime ?? 0)),
    };
  },
});
"""
_SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({
  marks: defineTable({ number: v.number() }).index("by_number", ["number"]),
});
"""


class JobEnds(msgspec.Struct, frozen=True, kw_only=True):
    """`last` is milliseconds since the epoch."""

    succeeded: float
    failed: float
    last: float


def deploy_jobs(deployed: DeployedApp) -> None:
    deployed.write({"convex/jobs.ts": _JOBS, "convex/schema.ts": _SCHEMA})
    deployed.run("deploy", "--typecheck", "disable")


async def plan_jobs(
    session: aiohttp.ClientSession, name: str, *, first: int, count: int, due_ms: float
) -> None:
    """Schedules jobs number `first` and following, in one call after the other."""
    for number in range(first, first + count, JOBS_PER_CALL):
        size = min(JOBS_PER_CALL, first + count - number)
        args: dict[str, Any] = {
            "name": name,
            "first": float(number),
            "count": float(size),
            "due": due_ms,
        }
        await call_mutation(session, "jobs:plan", args)


async def has_mark(session: aiohttp.ClientSession, number: int) -> bool:
    """Whether the job with this number has run."""
    value: bool = await call_mutation(session, "jobs:hasMark", {"number": float(number)})
    return value


async def read_ends(session: aiohttp.ClientSession, count: int) -> JobEnds:
    """Of the newest jobs."""
    value = await call_mutation(session, "jobs:ends", {"count": float(count)})
    return msgspec.convert(value, JobEnds)
