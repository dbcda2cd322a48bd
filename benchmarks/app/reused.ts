// The same functions in a module that opts into context reuse: no fresh global state per call.
export const experimental_reuseContext = true;
export { list, send } from "./messages";
