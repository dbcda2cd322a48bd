/** `TextEncoder` and `TextDecoder`, from @exodus/bytes. */
export { TextDecoder, TextEncoder } from "@exodus/bytes/encoding-lite.js";
