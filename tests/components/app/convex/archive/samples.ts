/** One document with every type of value, to be exported and imported. */
import { mutation, query } from "./_generated/server";

export const write = mutation({
  args: {},
  handler: async (ctx) => {
    return await ctx.db.insert("samples", {
      nothing: null,
      integer: -9223372036854775808n,
      small: 5n,
      float: 5,
      fraction: 0.1,
      negativeZero: -0,
      notANumber: NaN,
      infinite: -Infinity,
      boolean: true,
      text: "Ä\u{1F600}\n\u0000",
      bytes: new Uint8Array([0, 255]).buffer,
      list: [1, [2n], { deep: "x" }],
      record: { "a-b": 1 },
    });
  },
});

export const count = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("samples").collect()).length,
});
