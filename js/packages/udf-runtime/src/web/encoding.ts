/** `TextEncoder` and `TextDecoder`, from @exodus/bytes. */
import { loadVendor } from "../vendor.ts";

export const { TextDecoder, TextEncoder } = loadVendor("encoding");
