import { mutationGeneric as mutation, queryGeneric as query } from "./functions";

interface Step {
  kind: string;
  id: string;
  author: string;
  count: number;
}

async function runStep(ctx: any, step: Step): Promise<unknown> {
  const { db } = ctx;
  switch (step.kind) {
    case "take":
      return (await db.query("messages").order("desc").take(step.count)).map((row: any) => row.body);
    case "filter": {
      const isWanted = (q: any) => q.eq(q.field("author"), step.author);
      return (await db.query("messages").filter(isWanted).take(step.count)).length;
    }
    case "badFilter":
      return (await db.query("messages").filter((q: any) => q.add(1, "a")).first()) === null;
    case "iterate": {
      const seen: string[] = [];
      for await (const row of db.query("messages")) if (seen.push(row.body) >= step.count) break;
      return seen;
    }
    case "get":
      return (await db.get(step.id))?.body ?? null;
    case "both": {
      const row = db.query("messages").order("desc").first();
      return (await Promise.all([db.get(step.id), row])).map((found: any) => found?.body ?? null);
    }
    case "race":
      return await Promise.race([db.get(step.id).then(() => "read"), Promise.resolve("at once")]);
    case "normalize":
      return db.normalizeId("messages", step.id) !== null;
    case "who":
      return await ctx.auth.getUserIdentity();
    case "log":
      console.log("step", step.count);
      return Math.random();
    case "throw":
      throw new Error(`step ${step.count}`);
    case "insert":
      await db.insert(step.author === "a" ? "messages" : "drafts", { author: "n", body: "new" });
      return "inserted";
    case "normalizeDraft":
      return db.normalizeId("drafts", step.id);
    case "patch":
      return await db.patch(step.id, { author: step.author });
    default:
      return await db.delete(step.id);
  }
}

async function runSteps(ctx: any, { steps }: { steps: Step[] }): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const step of steps) results.push(await runStep(ctx, step));
  return results;
}

/** Any reads in any order. */
export const reads = query({ handler: runSteps });

/** Any reads and writes in any order. */
export const writes = mutation({ handler: runSteps });
