export { Blob, File } from "../web/blob.ts";
export { fetch } from "../web/fetch.ts";
export { getBlob, storeBlob } from "../web/file_storage.ts";
export { FormData } from "../web/form_data.ts";
export { Headers } from "../web/headers.ts";
export { convexJsonFromResponse, requestFromConvexJson, respond } from "../web/http_action.ts";
export { Request } from "../web/request.ts";
export { Response } from "../web/response.ts";
