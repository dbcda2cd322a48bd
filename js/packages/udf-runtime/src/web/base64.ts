/** `atob` and `btoa`. */
import { DOMException } from "./dom_exception.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function btoa(data: unknown): string {
  const text = String(data);
  let encoded = "";
  for (let index = 0; index < text.length; index += 3) {
    const units = [text.charCodeAt(index), text.charCodeAt(index + 1), text.charCodeAt(index + 2)];
    if (units.some((unit) => unit > 0xff)) {
      throw new DOMException(
        "The string contains characters outside of Latin1",
        "InvalidCharacterError",
      );
    }
    const [first = 0, second = 0, third = 0] = units;
    const bits = (first << 16) | (second << 8) | third;
    const missing = Math.max(0, index + 3 - text.length);
    for (let sextet = 0; sextet < 4; sextet++) {
      encoded += sextet > 3 - missing ? "=" : ALPHABET[(bits >> (18 - 6 * sextet)) & 63];
    }
  }
  return encoded;
}

export function atob(data: unknown): string {
  let text = String(data).replace(/[\t\n\f\r ]/g, "");
  if (text.length % 4 === 0) text = text.replace(/==?$/, "");
  if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) {
    throw new DOMException("The string is not correctly encoded", "InvalidCharacterError");
  }
  let decoded = "";
  let bits = 0;
  for (let index = 0; index < text.length; index++) {
    bits = (bits << 6) | ALPHABET.indexOf(text[index] as string);
    const phase = index % 4;
    if (phase > 0) decoded += String.fromCharCode((bits >> (6 - 2 * phase)) & 0xff);
  }
  return decoded;
}
