export * from "./origin";
export * as inner from "./origin";
