/** `DOMException`, from core-js. */
import CoreDOMException from "core-js-pure/actual/dom-exception/index.js";

export const DOMException = CoreDOMException as new (message?: string, name?: string) => Error & {
  readonly code: number;
};
