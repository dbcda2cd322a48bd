/**
 * Encodings with more than one byte a character are a package of their own, five times as large as
 * the rest.
 */
import { setMultibyte } from "../../../../node_modules/@exodus/bytes/fallback/encoding.js";

setMultibyte(
  (encoding, isLoose) => fenchel.loadVendor("multibyte").createMultibyteDecoder(encoding, isLoose),
  () => {
    throw new TypeError("Text is encoded as UTF-8 only");
  },
);

export { TextDecoder, TextEncoder } from "@exodus/bytes/encoding-lite.js";
