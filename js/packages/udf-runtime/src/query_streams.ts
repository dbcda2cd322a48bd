/**
 * Database query streams, answered from pages that the backend sends ahead. Ids count from 0 per
 * execution. The backend learns how many rows user code really took, never how many were sent
 * (specification 2.6).
 */
import { NativePromise, parseJson, stringifyJson } from "./primordials.ts";
import { NativeError } from "./primordials.ts";

type Consumed = [queryId: number, documents: number, sawEnd: 0 | 1];

interface Waiter {
  resolve: (result: string) => void;
  reject: (error: unknown) => void;
}

interface QueryStream {
  readonly id: number;
  readonly queryJson: string;
  /** False until the first page was asked for. */
  isOpen: boolean;
  page: string[];
  nextRow: number;
  isLastPage: boolean;
  isFetching: boolean;
  waiters: Waiter[];
  consumed: Consumed;
  /** The documents count last sent with a page request. */
  reportedDocuments: number;
}

const DONE = '{"value":null,"done":true}';

/** Asks the backend for one page; resolves to its text. */
export type FetchPage = (argsJson: string) => Promise<string>;

export class QueryStreams {
  readonly #streams = new Map<number, QueryStream>();
  readonly #consumed: Consumed[] = [];

  open(argsJson: string): string {
    const { query } = parseJson(argsJson) as { query: unknown };
    const id = this.#consumed.length;
    const consumed: Consumed = [id, 0, 0];
    this.#consumed.push(consumed);
    this.#streams.set(id, {
      id,
      queryJson: stringifyJson(query),
      isOpen: false,
      page: [],
      nextRow: 0,
      isLastPage: false,
      isFetching: false,
      waiters: [],
      consumed,
      reportedDocuments: 0,
    });
    return `{"queryId":${id}}`;
  }

  cleanup(argsJson: string): string {
    const { queryId } = parseJson(argsJson) as { queryId: number };
    return this.#streams.delete(queryId) ? "true" : "false";
  }

  next(argsJson: string, fetchPage: FetchPage): Promise<string> {
    const { queryId } = parseJson(argsJson) as { queryId: number };
    const stream = this.#streams.get(queryId);
    if (stream === undefined) {
      return NativePromise.reject(new NativeError("in-progress query not found"));
    }
    const row = stream.waiters.length === 0 ? this.#take(stream) : undefined;
    if (row !== undefined) return NativePromise.resolve(row);
    return new NativePromise((resolve, reject) => {
      stream.waiters.push({ resolve, reject });
      if (!stream.isFetching) void this.#fetch(stream, fetchPage);
    });
  }

  /** Totals of all streams of the execution, for the outcome. */
  totals(): Consumed[] {
    return this.#consumed;
  }

  /** The next answer from the page at hand, or undefined when another page is needed. */
  #take(stream: QueryStream): string | undefined {
    if (stream.nextRow < stream.page.length) {
      stream.consumed[1] += 1;
      return `{"value":${stream.page[stream.nextRow++]},"done":false}`;
    }
    if (!stream.isLastPage) return undefined;
    stream.consumed[2] = 1;
    this.#streams.delete(stream.id);
    return DONE;
  }

  async #fetch(stream: QueryStream, fetchPage: FetchPage): Promise<void> {
    stream.isFetching = true;
    try {
      while (stream.waiters.length > 0) {
        this.#receive(stream, await fetchPage(this.#request(stream)));
        this.#serve(stream);
      }
    } catch (error) {
      this.#streams.delete(stream.id);
      for (const waiter of stream.waiters.splice(0)) waiter.reject(error);
    } finally {
      stream.isFetching = false;
    }
  }

  #serve(stream: QueryStream): void {
    while (stream.waiters.length > 0) {
      const row = this.#take(stream);
      if (row === undefined) return;
      stream.waiters.shift()?.resolve(row);
    }
  }

  #request(stream: QueryStream): string {
    const query = stream.isOpen ? "" : `"query":${stream.queryJson},`;
    stream.isOpen = true;
    return `{"queryId":${stream.id},${query}"consumed":${stringifyJson(this.#changes())}}`;
  }

  #changes(): Consumed[] {
    const changes: Consumed[] = [];
    for (const stream of this.#streams.values()) {
      if (stream.consumed[1] === stream.reportedDocuments) continue;
      stream.reportedDocuments = stream.consumed[1];
      changes.push(stream.consumed);
    }
    return changes;
  }

  /** Page text: "1" or "0" (last page or not), a newline, then a document a line. */
  #receive(stream: QueryStream, text: string): void {
    stream.isLastPage = text[0] === "1";
    stream.page = text.length > 2 ? text.slice(2).split("\n") : [];
    stream.nextRow = 0;
  }
}
