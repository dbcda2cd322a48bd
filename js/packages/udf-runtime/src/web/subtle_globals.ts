/** What the "subtle" vendor script defines. */
import { loadVendor } from "../vendor.ts";

export const { CryptoKey, SubtleCrypto } = loadVendor("subtle");
