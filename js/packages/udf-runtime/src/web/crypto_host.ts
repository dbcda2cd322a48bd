/** Calls the worker's cryptography: parameters as JSON, bytes as copies. */
import { domError } from "./crypto_algorithms.ts";

/** The worker's answer. Raises OperationError when the worker cannot. */
export function callCrypto(
  op: string,
  parameters: object,
  ...bytes: (Uint8Array | ArrayBuffer)[]
): ArrayBuffer {
  return callCryptoForAll(op, parameters, "OperationError", ...bytes).bytes[0] as ArrayBuffer;
}

/** Everything that the worker answers; `errorName` is what its refusal is called. */
export function callCryptoForAll(
  op: string,
  parameters: object,
  errorName: string,
  ...bytes: (Uint8Array | ArrayBuffer)[]
): { text: string; bytes: ArrayBuffer[] } {
  const buffers = bytes.map((item) => (item instanceof ArrayBuffer ? item : wholeBuffer(item)));
  try {
    return fenchel.callHostForBytes(`fenchel/crypto/${op}`, JSON.stringify(parameters), ...buffers);
  } catch (error) {
    throw domError((error as Error).message, errorName);
  }
}

function wholeBuffer(bytes: Uint8Array): ArrayBuffer {
  const isWhole = bytes.byteLength === bytes.buffer.byteLength;
  return (isWhole ? bytes.buffer : bytes.slice().buffer) as ArrayBuffer;
}
