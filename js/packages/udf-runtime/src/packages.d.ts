declare module "core-js-pure/actual/structured-clone.js" {
  const structuredClone: (value: unknown) => unknown;
  export default structuredClone;
}

declare module "core-js-pure/actual/dom-exception/index.js" {
  const DOMException: unknown;
  export default DOMException;
}
