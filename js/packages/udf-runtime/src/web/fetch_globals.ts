/** What the "fetch" vendor script defines. */
import { loadVendor } from "../vendor.ts";

export const { Blob, File, FormData, Headers, Request, Response, fetch } = loadVendor("fetch");
