/** The request and the response of an HTTP action, over the streams of bytes (1.8, 2.13). */
import type { Execution } from "../runtime_face.ts";
import { contentOf, sizeOf } from "./body.ts";
import type { Source } from "./body.ts";
import { CHUNK_BYTES_MAX, joinHead, openIncoming, sendOutgoing } from "./byte_streams.ts";
import type { Outgoing } from "./byte_streams.ts";
import { pairsOfHeaders } from "./headers.ts";
import { Request, onSignalRead } from "./request.ts";
import { Response } from "./response.ts";

/** What the backend says of a request. */
interface RequestJson {
  headerPairs: [string, string][];
  url: string;
  method: string;
  streamId: number | null;
}

/** What npm's router hands back. `bodyBytes`: the length of the body if it is known. */
interface ResponseJson {
  status: number;
  statusText: string;
  headerPairs: [string, string][];
  streamId: number | null;
  bodyBytes: number | null;
  url: string;
}

/** Why not all of the response was sent. */
interface End {
  code: "ClientDisconnect" | "HttpResponseTooLarge";
  message: string;
}

export function requestFromConvexJson({ convexJson }: { convexJson?: unknown }): Request {
  const execution = fenchel.requireAction("Running HTTP actions");
  const { headerPairs, url, method, streamId } = convexJson as RequestJson;
  const controller = new fenchel.AbortController();
  const body = streamId === null ? null : openIncoming(execution, () => streamId);
  const request = new Request(url, {
    method,
    headers: headerPairs,
    signal: controller.signal,
    ...(body === null ? {} : { body, duplex: "half" }),
  });
  onSignalRead(request, () => {
    const abort = (): void => controller.abort();
    fenchel.request(execution, "fenchel/waitDisconnect", "{}").then(abort, abort);
  });
  return request;
}

/**
 * Bodies of responses that were made: on their way, by the number of their stream, or whole, by a
 * number below zero. Those go with the head: a stream would be two more frames.
 */
const bodies = new Map<number, Outgoing | Uint8Array>();
let nextWhole = -1;

export function convexJsonFromResponse({ response }: { response?: unknown }): ResponseJson {
  const execution = fenchel.requireAction("Running HTTP actions");
  if (!(response instanceof Response)) {
    return fenchel.throwUncatchable(
      "The handler of an HTTP action must return a Response, as in `return new Response(body)`.",
    );
  }
  if (response.bodyUsed) throw new TypeError("The body of the response was read already");
  const { status, statusText, headers, url } = response;
  const content = contentOf(response);
  let streamId = null;
  if (content !== null) {
    const source = content.stream ?? (content.source as Source);
    const isWhole = source instanceof Uint8Array && source.length <= CHUNK_BYTES_MAX;
    const body = isWhole ? source : sendOutgoing(execution, source);
    streamId = body instanceof Uint8Array ? nextWhole-- : body.number;
    bodies.set(streamId, body);
  }
  return {
    status,
    statusText,
    headerPairs: pairsOfHeaders(headers),
    streamId,
    bodyBytes:
      content === null ? 0 : content.stream === null ? sizeOf(content.source as Source) : null,
    url,
  };
}

/** Sends head and body; returns when the client has all of it, or does not want more. */
export async function respond(execution: Execution, headJson: string): Promise<void> {
  const head = JSON.parse(headJson) as ResponseJson;
  const body = head.streamId === null ? undefined : bodies.get(head.streamId);
  if (body instanceof Uint8Array) {
    const message = joinHead({ ...head, streamId: null }, body);
    const end = await fenchel.requestWithBytes(execution, "fenchel/respond", message);
    if (end !== "") reportEnd(JSON.parse(end as string) as End);
    return;
  }
  const send = async (): Promise<void> => {
    const end = await fenchel.request(execution, "fenchel/respond", headJson);
    if (end === "") return;
    reportEnd(JSON.parse(end as string) as End);
    await body?.cancel();
  };
  const [sent, read] = await Promise.allSettled([send(), body?.finished]);
  if (read.status === "rejected") throw read.reason;
  if (sent.status === "rejected") throw sent.reason;
}

function reportEnd({ code, message }: End): void {
  if (code === "HttpResponseTooLarge") {
    fenchel.logSystemLine("ERROR", `${code}: ${message}`, "error:httpAction");
    return;
  }
  const left = "The client went away before it had the whole response.";
  fenchel.logSystemLine("INFO", left, "info:httpActionClientDisconnect");
}
