/** `multipart/form-data`: writing and reading (RFC 7578, HTML standard). */
import { Blob, File } from "./blob.ts";
import { decodeText, encodeText } from "./bytes.ts";
import { FormData } from "./form_data.ts";

const BOUNDARY_DIGITS = 24;

/** Text that does not occur in form data but by intent; drawn from the execution's seed. */
function createBoundary(): string {
  let digits = "";
  while (digits.length < BOUNDARY_DIGITS) digits += fenchel.random().toString(36).slice(2);
  return `----formdata-${digits.slice(0, BOUNDARY_DIGITS)}`;
}

const LINE_BREAK = /\r\n|\r|\n/g;

/** Line breaks and quotes would end the name. */
function escapeName(name: string): string {
  return name.replace(/[\r\n"]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`;
  });
}

/** The files of the form stay where they are. */
export function encodeMultipart(form: FormData): { blob: Blob; contentType: string } {
  const boundary = createBoundary();
  const parts: (Blob | string)[] = [];
  for (const [name, value] of form) {
    const shown = escapeName(name.replace(LINE_BREAK, "\r\n"));
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${shown}"`;
    if (typeof value === "string") {
      const text = value.replace(LINE_BREAK, "\r\n");
      parts.push(`${head}\r\n\r\n${text}\r\n`);
    } else {
      const type = value.type === "" ? "application/octet-stream" : value.type;
      const rest = `; filename="${escapeName(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`;
      parts.push(head + rest, value, "\r\n");
    }
  }
  parts.push(`--${boundary}--\r\n`);
  return { blob: new Blob(parts), contentType: `multipart/form-data; boundary=${boundary}` };
}

function fail(): never {
  throw new TypeError("Could not parse the body as multipart/form-data");
}

function indexOfBytes(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  const last = bytes.length - wanted.length;
  const first = wanted[0] as number;
  for (let at = bytes.indexOf(first, from); at !== -1 && at <= last;) {
    let length = 1;
    while (length < wanted.length && bytes[at + length] === wanted[length]) length++;
    if (length === wanted.length) return at;
    at = bytes.indexOf(first, at + 1);
  }
  return -1;
}

const HEAD_END = encodeText("\r\n\r\n");
const DASH = 0x2d;

/** Raises TypeError for bytes that are not such a form. */
export function parseMultipart(bytes: Uint8Array, boundary: string): FormData {
  const form = new FormData();
  const delimiter = encodeText(`\r\n--${boundary}`);
  let position = indexOfBytes(bytes, delimiter.subarray(2), 0);
  if (position !== 0 && (position < 2 || bytes[position - 1] !== 0x0a)) fail();
  position += delimiter.length - 2;
  while (!(bytes[position] === DASH && bytes[position + 1] === DASH)) {
    while (bytes[position] === 0x20 || bytes[position] === 0x09) position++;
    if (bytes[position] !== 0x0d || bytes[position + 1] !== 0x0a) fail();
    const headEnd = indexOfBytes(bytes, HEAD_END, position);
    if (headEnd === -1) fail();
    const end = indexOfBytes(bytes, delimiter, headEnd + 2);
    if (end === -1) fail();
    appendPart(form, decodeText(bytes.subarray(position + 2, headEnd)), {
      content: bytes.subarray(Math.min(headEnd + HEAD_END.length, end), end),
    });
    position = end + delimiter.length;
  }
  return form;
}

function appendPart(form: FormData, head: string, { content }: { content: Uint8Array }): void {
  const headers = new Map<string, string>();
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) fail();
    headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  const disposition = headers.get("content-disposition") ?? "";
  if (!/^form-data\s*;/i.test(disposition)) fail();
  const name = parameter(disposition, "name");
  if (name === undefined) fail();
  const filename = parameter(disposition, "filename");
  if (filename === undefined) form.append(name, decodeText(content));
  else {
    const type = headers.get("content-type") ?? "text/plain";
    form.append(name, new File([content], filename, { type }));
  }
}

function parameter(disposition: string, name: string): string | undefined {
  const match = new RegExp(`;\\s*${name}=(?:"([^"]*)"|([^;\\s]*))`, "i").exec(disposition);
  const text = match?.[1] ?? match?.[2];
  return text?.replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');
}
