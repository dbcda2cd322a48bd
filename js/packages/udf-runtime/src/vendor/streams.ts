export * from "web-streams-polyfill";
export { TextDecoderStream, TextEncoderStream } from "../web/text_streams.ts";
