/** `URL` and `URLSearchParams`, from whatwg-url. */
import { loadVendor } from "../vendor.ts";

export type { URL as UrlObject } from "whatwg-url";

export const { URL, URLSearchParams } = loadVendor("url");
