/** What queries outside of any app import as `convex:/_system/repl/wrappers.js`. */
export { internalQueryGeneric as internalQuery, queryGeneric as query } from "convex/server";
