declare module "core-js-pure/modules/*";

declare module "core-js-pure/internals/path.js" {
  const path: { structuredClone: (value: unknown) => unknown };
  export default path;
}

/** The package's own way to join its two halves; it is not among its exports. */
declare module "*/@exodus/bytes/fallback/encoding.js" {
  type Decode = (bytes: Uint8Array, isStream?: boolean) => string;
  export function setMultibyte(
    createDecoder: (encoding: string, isLoose?: boolean) => Decode,
    createEncoder: () => never,
  ): void;
}

declare module "tr46" {
  interface Options {
    useSTD3ASCIIRules?: boolean;
    verifyDNSLength?: boolean;
  }
  /** null when the name is not valid. */
  export function toASCII(domain: string, options?: Options): string | null;
  export function toUnicode(domain: string, options?: Options): { domain: string; error: boolean };
}
