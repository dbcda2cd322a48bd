export { CryptoKey } from "../web/crypto_key.ts";
export { SubtleCrypto, subtle } from "../web/subtle.ts";
