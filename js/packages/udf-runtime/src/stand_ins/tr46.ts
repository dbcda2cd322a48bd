/**
 * What the URL package finds as `tr46`: names of ASCII need none of Unicode's tables, which are
 * three quarters of it.
 */
type Options = Parameters<typeof import("tr46").toASCII>[1];

/** Whether domain to ASCII is lower case and no more (URL standard 3.3, domain to ASCII, step 1). */
function isPlain(domain: string, options: Options): boolean {
  const isStrict = options?.useSTD3ASCIIRules === true || options?.verifyDNSLength === true;
  return !isStrict && /^[\0-\x7f]*$/.test(domain) && !/(?:^|\.)xn--/i.test(domain);
}

export function toASCII(domain: string, options?: Options): string | null {
  if (isPlain(domain, options)) return domain.toLowerCase();
  return fenchel.loadVendor("idna").toASCII(domain, options);
}
