// What a call does is data: a list of steps that the driver draws at random. The same interpreter
// runs on Fenchel and on convex-test, so that only the host behind `ctx` differs.

/** Names what the data cannot hold: ids and creation times differ between the two sides. */
type Resolved = { ids: string[]; ctx: any };

export async function resolve(value: any, scope: Resolved): Promise<any> {
  if (Array.isArray(value)) return await Promise.all(value.map((item) => resolve(item, scope)));
  if (value === null || typeof value !== "object" || value instanceof ArrayBuffer) return value;
  if ("REF" in value) return scope.ids[value.REF] ?? "not an id";
  if ("UNSET" in value) return undefined;
  if ("TIME" in value) {
    const document = await scope.ctx.db.get(scope.ids[value.TIME]);
    return document === null ? 1 : document._creationTime;
  }
  const entries = Object.entries(value).map(async ([key, item]) => [
    key,
    await resolve(item, scope),
  ]);
  return Object.fromEntries(await Promise.all(entries));
}

function buildExpression(q: any, expression: any): any {
  const [op, ...operands] = expression;
  if (op === "field") return q.field(operands[0]);
  if (op === "literal") return operands[0];
  return q[op](...operands.map((operand: any) => buildExpression(q, operand)));
}

async function buildQuery(ctx: any, step: any, scope: Resolved): Promise<any> {
  let query = ctx.db.query(step.table);
  const range = await resolve(step.range ?? [], scope);
  const bounded = (q: any) =>
    range.reduce((r: any, [op, field, value]: any) => r[op](field, value), q);
  if (step.index === "by_id") query = query.withIndex("by_id", bounded);
  else if (step.index) query = query.withIndex(step.index, bounded);
  else if (step.full) query = query.fullTableScan();
  if (step.order) query = query.order(step.order);
  if (step.filter) {
    const expression = await resolve(step.filter, scope);
    query = query.filter((q: any) => buildExpression(q, expression));
  }
  return query;
}

async function finish(query: any, step: any): Promise<any> {
  switch (step.end) {
    case "take":
      return await query.take(step.count);
    case "first":
      return await query.first();
    case "unique":
      return await query.unique();
    case "count":
      return await query.count();
    case "iterate": {
      const seen = [];
      for await (const document of query) {
        seen.push(document);
        if (seen.length === step.count) break;
      }
      return seen;
    }
    default:
      return await query.collect();
  }
}

async function runStep(ctx: any, step: any, scope: Resolved, references: any): Promise<any> {
  switch (step.op) {
    case "get":
      return await ctx.db.get(await resolve(step.id, scope));
    case "getFrom":
      return await ctx.db.get(step.table, await resolve(step.id, scope));
    case "normalizeId":
      return ctx.db.normalizeId(step.table, await resolve(step.id, scope));
    case "insert": {
      const id = await ctx.db.insert(step.table, await resolve(step.value, scope));
      scope.ids.push(id);
      return id;
    }
    case "patch": {
      const id = await resolve(step.id, scope);
      const fields = await resolve(step.value, scope);
      return await (step.table ? ctx.db.patch(step.table, id, fields) : ctx.db.patch(id, fields));
    }
    case "replace":
      return await ctx.db.replace(await resolve(step.id, scope), await resolve(step.value, scope));
    case "delete":
      return await ctx.db.delete(await resolve(step.id, scope));
    case "copy": {
      const document = await ctx.db.get(await resolve(step.id, scope));
      return document === null
        ? null
        : await ctx.db.replace(document._id, { ...document, copied: true });
    }
    case "query":
      return await finish(await buildQuery(ctx, step, scope), step);
    case "nestedQuery":
      return await ctx.runQuery(references.read, { steps: step.steps, ids: scope.ids });
    case "nestedMutation": {
      const { results, ids } = await ctx.runMutation(references.write, {
        steps: step.steps,
        ids: scope.ids,
        fail: step.fail,
      });
      scope.ids.splice(0, scope.ids.length, ...ids);
      return results;
    }
    case "throw":
      throw new references.ConvexError(await resolve(step.data, scope));
    default:
      throw new Error(`unknown step ${step.op}`);
  }
}

/** Runs all steps; what one throws becomes its result, so that the steps after it run as well. */
export async function runSteps(ctx: any, steps: any[], scope: Resolved, references: any) {
  const results = [];
  for (const step of steps) {
    try {
      results.push({ value: (await runStep(ctx, step, scope, references)) ?? null });
    } catch (error: any) {
      results.push({ failed: true, data: "data" in error ? error.data : null });
    }
  }
  return results;
}

export async function page(ctx: any, step: any, options: any, ids: string[]) {
  return await (await buildQuery(ctx, step, { ids, ctx })).paginate(options);
}
