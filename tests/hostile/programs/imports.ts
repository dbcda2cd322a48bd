// Apart from the others: an app that has such an expression anywhere never runs in warm realms.
import { attemptAsync, program } from "./hostile";

export const errorOfImport = program(() =>
  attemptAsync(() => import(["node", "fs"].join(":"))),
);
