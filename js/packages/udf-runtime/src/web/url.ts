/** `URL` and `URLSearchParams`, from whatwg-url. */
export { URL, URLSearchParams } from "whatwg-url";
