/** `TextEncoderStream` and `TextDecoderStream` (Encoding standard 8). */
import { TransformStream } from "web-streams-polyfill";
import type { ReadableStream, WritableStream } from "web-streams-polyfill";
import { finishInterface } from "./web_idl.ts";

const { TextDecoder, TextEncoder } = fenchel.loadVendor("encoding");

type BufferSource = NonNullable<Parameters<InstanceType<typeof TextDecoder>["decode"]>[0]>;

const HIGH_SURROGATE = /[\ud800-\udbff]$/;

export class TextEncoderStream {
  readonly #transform: TransformStream<unknown, Uint8Array>;

  constructor() {
    const encoder = new TextEncoder();
    let high = "";
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        const text = high + String(chunk);
        high = HIGH_SURROGATE.exec(text)?.[0] ?? "";
        const bytes = encoder.encode(high === "" ? text : text.slice(0, -1)) as Uint8Array;
        if (bytes.length > 0) controller.enqueue(bytes);
      },
      flush(controller) {
        if (high !== "") controller.enqueue(encoder.encode(high) as Uint8Array);
      },
    });
  }

  get encoding(): string {
    return "utf-8";
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#transform.readable;
  }

  get writable(): WritableStream<unknown> {
    return this.#transform.writable;
  }
}

export class TextDecoderStream {
  readonly #transform: TransformStream<BufferSource, string>;
  readonly #decoder: InstanceType<typeof TextDecoder>;

  constructor(label: string = "utf-8", options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    const decoder = new TextDecoder(label, options);
    this.#decoder = decoder;
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        if (!ArrayBuffer.isView(chunk) && !(Object(chunk) instanceof ArrayBuffer)) {
          throw new TypeError("A chunk is not a buffer source");
        }
        const text = decoder.decode(chunk, { stream: true });
        if (text !== "") controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== "") controller.enqueue(text);
      },
    });
  }

  get encoding(): string {
    return this.#decoder.encoding;
  }

  get fatal(): boolean {
    return this.#decoder.fatal;
  }

  get ignoreBOM(): boolean {
    return this.#decoder.ignoreBOM;
  }

  get readable(): ReadableStream<string> {
    return this.#transform.readable;
  }

  get writable(): WritableStream<BufferSource> {
    return this.#transform.writable;
  }
}

finishInterface(TextEncoderStream, "TextEncoderStream");
finishInterface(TextDecoderStream, "TextDecoderStream");
