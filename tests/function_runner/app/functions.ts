export {
  actionGeneric as action,
  internalMutationGeneric as internalMutation,
  internalQueryGeneric as internalQuery,
  mutationGeneric,
  paginationOptsValidator,
  queryGeneric,
} from "convex/server";
