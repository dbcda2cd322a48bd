declare module "core-js-pure/modules/*";

declare module "core-js-pure/internals/path.js" {
  const path: { structuredClone: (value: unknown) => unknown };
  export default path;
}
