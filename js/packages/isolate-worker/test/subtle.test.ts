import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { describe, test } from "node:test";
import { bundleApp } from "./app_bundle.ts";
import { FIXTURE, setUp } from "./setup.ts";
import { buildSnapshot } from "./worker_process.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
interface Made {
  hex: string;
  algorithm: { length: number };
}
type Steps = [name: string, method: string, ...args: Json[]][];

const hex = (bytes: ArrayBuffer | Uint8Array): string =>
  Buffer.from(bytes as Uint8Array).toString("hex");
const ABC = { hex: "616263" };
const KEY_16 = { hex: "00112233445566778899aabbccddeeff" };
const USAGES_OF: Record<string, string[]> = {
  "AES-CBC": ["encrypt", "decrypt"],
  "AES-CTR": ["encrypt", "decrypt"],
  "AES-GCM": ["encrypt", "decrypt"],
};

/** The same steps with Node's implementation. */
async function expectedOf(steps: Steps): Promise<Record<string, Json>> {
  const known = new Map<string, unknown>();
  const results: Record<string, Json> = {};
  const decode = (value: Json): unknown => {
    if (Array.isArray(value)) return value.map(decode);
    if (typeof value !== "object" || value === null) return value;
    if (typeof value["hex"] === "string") return new Uint8Array(Buffer.from(value["hex"], "hex"));
    if (typeof value["key"] === "string") return known.get(value["key"]);
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, decode(item)]));
  };
  const encode = (value: unknown): Json => {
    if (value instanceof ArrayBuffer) return { hex: hex(new Uint8Array(value)) };
    if (value instanceof Uint8Array) return { hex: hex(value) };
    if (Array.isArray(value)) return value.map(encode);
    if (typeof value !== "object" || value === null) return value as Json;
    if (Object.prototype.toString.call(value) === "[object CryptoKey]") {
      const { type, extractable, algorithm, usages } = value as webcrypto.CryptoKey;
      return { type, extractable, algorithm: encode(algorithm), usages: [...usages] };
    }
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, encode(item)]));
  };
  const subtle = webcrypto.subtle as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const [name, method, ...args] of steps) {
    try {
      const result = await subtle[method]!(...args.map(decode));
      known.set(name, result);
      results[name] = encode(result);
    } catch (error) {
      results[name] = (error as Error).name;
    }
  }
  return results;
}

async function pairOf(algorithm: object, usages: string[]): Promise<[Json, Json, Json]> {
  const pair = (await webcrypto.subtle.generateKey(
    algorithm as webcrypto.EcKeyAlgorithm,
    true,
    usages as webcrypto.KeyUsage[],
  )) as webcrypto.CryptoKeyPair;
  const [secret, open, jwk] = await Promise.all([
    webcrypto.subtle.exportKey("pkcs8", pair.privateKey),
    webcrypto.subtle.exportKey("spki", pair.publicKey),
    webcrypto.subtle.exportKey("jwk", pair.privateKey),
  ]);
  const { ext: _ext, key_ops: _ops, ...rest } = jwk;
  return [{ hex: hex(secret) }, { hex: hex(open) }, rest as Json];
}

describe("crypto.subtle computes as Node does", async () => {
  const { result, run, worker } = await setUp(true);
  const agree = async (steps: Steps): Promise<void> => {
    assert.deepEqual(await result("query", "subtle:inQuery", { steps }), await expectedOf(steps));
  };

  test("digests", () =>
    agree(
      ["SHA-1", "sha-256", "SHA-384", "SHA-512", "MD5"].map((hash) => [hash, "digest", hash, ABC]),
    ));

  test("HMAC", () =>
    agree([
      ...["SHA-1", "SHA-256", "SHA-384", "SHA-512"].flatMap((hash): Steps => {
        const algorithm = { name: "hmac", hash };
        return [
          [`key ${hash}`, "importKey", "raw", KEY_16, algorithm, true, ["verify", "sign"]],
          [`mac ${hash}`, "sign", "HMAC", { key: `key ${hash}` }, ABC],
          [`bad ${hash}`, "verify", "HMAC", { key: `key ${hash}` }, { hex: "00" }, ABC],
          [`jwk ${hash}`, "exportKey", "jwk", { key: `key ${hash}` }],
        ];
      }),
      [
        "wrong usage",
        "importKey",
        "raw",
        KEY_16,
        { name: "HMAC", hash: "SHA-1" },
        true,
        ["encrypt"],
      ],
      ["no usage", "importKey", "raw", KEY_16, { name: "HMAC", hash: "SHA-1" }, true, []],
      ["no hash", "importKey", "raw", KEY_16, "HMAC", true, ["sign"]],
      ["wrong key", "encrypt", { name: "AES-GCM", iv: KEY_16 }, { key: "key SHA-1" }, ABC],
    ]));

  test("AES", () =>
    agree(
      ["AES-CBC", "AES-CTR", "AES-GCM"].flatMap((name): Steps => {
        const counter = { hex: "fffffffffffffffffffffffffffffffe" };
        const algorithms: Record<string, Json> = {
          "AES-CBC": { name, iv: KEY_16 },
          "AES-CTR": { name, counter, length: 2 },
          "AES-GCM": {
            name,
            iv: { hex: "00112233445566778899aabb" },
            additionalData: ABC,
            tagLength: 96,
          },
        };
        const algorithm = algorithms[name] as Json;
        const data = { hex: "ab".repeat(50) };
        return [
          [`${name} key`, "importKey", "raw", KEY_16, name, false, USAGES_OF[name] as Json],
          [`${name} text`, "encrypt", algorithm, { key: `${name} key` }, data],
          [`${name} back`, "decrypt", algorithm, { key: `${name} key` }, { key: `${name} text` }],
          [`${name} junk`, "decrypt", algorithm, { key: `${name} key` }, { hex: "ab".repeat(17) }],
          [`${name} long`, "encrypt", algorithm, { key: `${name} key` }, { hex: "ab".repeat(65) }],
          [`${name} export`, "exportKey", "raw", { key: `${name} key` }],
          [`${name} short`, "importKey", "raw", ABC, name, false, USAGES_OF[name] as Json],
        ];
      }),
    ));

  test("HKDF and PBKDF2", () => {
    const hkdf = { name: "HKDF", hash: "SHA-256", salt: ABC, info: KEY_16 };
    const pbkdf2 = { name: "PBKDF2", hash: "SHA-512", salt: ABC, iterations: 1000 };
    const aes = { name: "AES-GCM", length: 256 };
    const both = ["deriveBits", "deriveKey"];
    return agree([
      ["h", "importKey", "raw", KEY_16, "HKDF", false, both],
      ["h bits", "deriveBits", hkdf, { key: "h" }, 336],
      ["h key", "deriveKey", hkdf, { key: "h" }, aes, true, ["encrypt"]],
      ["h raw", "exportKey", "raw", { key: "h key" }],
      ["h odd", "deriveBits", hkdf, { key: "h" }, 3],
      ["h long", "deriveBits", hkdf, { key: "h" }, 256 * 255 * 8 + 8],
      ["p", "importKey", "raw", KEY_16, "PBKDF2", false, both],
      ["p bits", "deriveBits", pbkdf2, { key: "p" }, 512],
      ["p key", "deriveKey", pbkdf2, { key: "p" }, { name: "HMAC", hash: "SHA-1" }, true, ["sign"]],
      ["p raw", "exportKey", "raw", { key: "p key" }],
      ["p none", "deriveBits", { ...pbkdf2, iterations: 0 }, { key: "p" }, 512],
      ["extractable", "importKey", "raw", KEY_16, "PBKDF2", true, both],
    ]);
  });

  test("RSA", async () => {
    const size = { modulusLength: 1024, publicExponent: Uint8Array.of(1, 0, 1), hash: "SHA-256" };
    for (const name of ["RSASSA-PKCS1-v1_5", "RSA-PSS"]) {
      const [secret, open, jwk] = await pairOf({ ...size, name }, ["sign", "verify"]);
      const algorithm = { name, hash: "SHA-256" };
      const steps: Steps = [
        ["private", "importKey", "pkcs8", secret, algorithm, true, ["sign"]],
        ["public", "importKey", "spki", open, algorithm, true, ["verify"]],
        ["jwk", "importKey", "jwk", jwk, algorithm, true, ["sign"]],
        ["export", "exportKey", "jwk", { key: "private" }],
        ["spki", "exportKey", "spki", { key: "public" }],
        ["bad", "verify", { name, saltLength: 32 }, { key: "public" }, ABC, ABC],
        ["raw", "importKey", "raw", open, algorithm, true, ["verify"]],
        ["junk", "importKey", "pkcs8", ABC, algorithm, true, ["sign"]],
        ["wrong side", "sign", { name, saltLength: 32 }, { key: "public" }, ABC],
      ];
      if (name !== "RSA-PSS") steps.push(["signed", "sign", name, { key: "private" }, ABC]);
      await agree(steps);
    }
    const [secret, open] = await pairOf({ ...size, name: "RSA-OAEP" }, ["encrypt", "decrypt"]);
    const key = await webcrypto.subtle.importKey(
      "spki",
      Buffer.from((open as { hex: string }).hex, "hex"),
      { name: "RSA-OAEP", hash: "SHA-256" },
      true,
      ["encrypt"],
    );
    const label = Buffer.from("abc");
    const text = await webcrypto.subtle.encrypt({ name: "RSA-OAEP", label }, key, label);
    const oaep = { name: "RSA-OAEP", hash: "SHA-256" };
    await agree([
      ["private", "importKey", "pkcs8", secret, oaep, true, ["decrypt"]],
      [
        "plain",
        "decrypt",
        { name: "RSA-OAEP", label: ABC },
        { key: "private" },
        { hex: hex(text) },
      ],
      ["no label", "decrypt", { name: "RSA-OAEP" }, { key: "private" }, { hex: hex(text) }],
    ]);
  });

  test("elliptic curves", async () => {
    for (const namedCurve of ["P-256", "P-384", "P-521"]) {
      const ecdsa = { name: "ECDSA", namedCurve };
      const [secret, open, jwk] = await pairOf(ecdsa, ["sign", "verify"]);
      const [mine] = await pairOf({ name: "ECDH", namedCurve }, ["deriveBits"]);
      const [, theirs] = await pairOf({ name: "ECDH", namedCurve }, ["deriveBits"]);
      await agree([
        ["private", "importKey", "pkcs8", secret, ecdsa, true, ["sign"]],
        ["public", "importKey", "spki", open, ecdsa, true, ["verify"]],
        ["jwk", "importKey", "jwk", jwk, ecdsa, false, ["sign"]],
        ["no export", "exportKey", "jwk", { key: "jwk" }],
        ["export", "exportKey", "jwk", { key: "private" }],
        ["raw", "exportKey", "raw", { key: "public" }],
        ["from raw", "importKey", "raw", { key: "raw" }, ecdsa, true, ["verify"]],
        ["bad", "verify", { name: "ECDSA", hash: "SHA-256" }, { key: "public" }, ABC, ABC],
        ["mine", "importKey", "pkcs8", mine, { name: "ECDH", namedCurve }, true, ["deriveBits"]],
        ["theirs", "importKey", "spki", theirs, { name: "ECDH", namedCurve }, true, []],
        [
          "shared",
          "deriveBits",
          { name: "ECDH", public: { key: "theirs" } },
          { key: "mine" },
          null,
        ],
        ["some", "deriveBits", { name: "ECDH", public: { key: "theirs" } }, { key: "mine" }, 128],
        ["other curve", "importKey", "spki", open, { name: "ECDSA", namedCurve: "P-1" }, true, []],
      ]);
    }
  });

  test("Ed25519 and X25519", async () => {
    const [secret, open, jwk] = await pairOf({ name: "Ed25519" }, ["sign", "verify"]);
    const [mine] = await pairOf({ name: "X25519" }, ["deriveBits"]);
    const [, theirs] = await pairOf({ name: "X25519" }, ["deriveBits"]);
    await agree([
      ["private", "importKey", "pkcs8", secret, "Ed25519", true, ["sign"]],
      ["public", "importKey", "spki", open, "Ed25519", true, ["verify"]],
      ["jwk", "importKey", "jwk", jwk, "Ed25519", true, ["sign"]],
      ["signed", "sign", "Ed25519", { key: "private" }, ABC],
      ["valid", "verify", "Ed25519", { key: "public" }, { key: "signed" }, ABC],
      ["raw", "exportKey", "raw", { key: "public" }],
      ["from raw", "importKey", "raw", { key: "raw" }, "Ed25519", true, ["verify"]],
      ["mine", "importKey", "pkcs8", mine, "X25519", true, ["deriveBits"]],
      ["theirs", "importKey", "spki", theirs, "X25519", true, []],
      ["shared", "deriveBits", { name: "X25519", public: { key: "theirs" } }, { key: "mine" }, 256],
    ]);
  });

  test("what is generated works; it needs an action", async () => {
    const rsa = { modulusLength: 1024, publicExponent: { hex: "010001" }, hash: "SHA-256" };
    const steps: Steps = [
      ["hmac", "generateKey", { name: "HMAC", hash: "SHA-384" }, true, ["sign", "verify"]],
      ["aes", "generateKey", { name: "AES-GCM", length: 256 }, true, ["encrypt"]],
      ["ec", "generateKey", { name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]],
      ["signed", "sign", { name: "ECDSA", hash: "SHA-256" }, { key: "ec.private" }, ABC],
      ["pss", "generateKey", { ...rsa, name: "RSA-PSS" }, true, ["sign", "verify"]],
      ["pss signed", "sign", { name: "RSA-PSS", saltLength: 20 }, { key: "pss.private" }, ABC],
      ["oaep", "generateKey", { ...rsa, name: "RSA-OAEP" }, true, ["encrypt", "decrypt"]],
      ["oaep text", "encrypt", "RSA-OAEP", { key: "oaep.public" }, ABC],
      ["x", "generateKey", "X25519", true, ["deriveBits"]],
      ["unusable", "generateKey", "X25519", true, []],
    ];
    const made = (await result("action", "subtle:inAction", { steps })) as Record<string, Made>;
    assert.equal(made["hmac"]?.algorithm.length, 1024);
    assert.equal(made["signed"]?.hex.length, 128);
    assert.equal(made["oaep text"]?.hex.length, 256);
    assert.equal(made["unusable"] as unknown, "SyntaxError");
    const refused = (await result("query", "subtle:inQuery", { steps })) as Record<string, string>;
    assert.match(refused["hmac"] ?? "", /^Can't use cryptographic randomness in queries and mut/);
  });

  test("endless work is refused", async () => {
    const steps: Steps = [
      ["p", "importKey", "raw", KEY_16, "PBKDF2", false, ["deriveBits"]],
      [
        "2^32",
        "deriveBits",
        { name: "PBKDF2", hash: "SHA-1", salt: ABC, iterations: 4294967295 },
        { key: "p" },
        8,
      ],
      [
        "long",
        "deriveBits",
        { name: "PBKDF2", hash: "SHA-1", salt: ABC, iterations: 10000000 },
        { key: "p" },
        8192,
      ],
    ];
    const refused = (await result("query", "subtle:inQuery", { steps })) as Record<string, string>;
    assert.deepEqual([refused["2^32"], refused["long"]], ["OperationError", "OperationError"]);
  });

  test("wrapKey cannot be caught", async () => {
    const { header } = await run("query", "subtle:inQuery", { steps: [["w", "wrapKey"]] });
    assert.match(header.error?.message ?? "", /Not implemented: wrapKey for SubtleCrypto/);
  });

  test("a module that imports a key pair lives without a snapshot", async () => {
    const app = await bundleApp(FIXTURE, ["key_at_import.ts"]);
    const built = await buildSnapshot(app);
    assert.deepEqual([built.ok, /needs the worker/.test(built.message ?? "")], [false, true]);
    const bundle = await worker.load(app);
    const { result: text } = await worker.run(bundle, "query", "key_at_import:type");
    assert.equal(text, '"public"');
  });

  test("classes, and keys that a module prepares", async () => {
    const seen = await result("query", "subtle:globals");
    assert.deepEqual(seen, [true, true, true, 36, "function"]);
    const key = await webcrypto.subtle.importKey(
      "raw",
      Buffer.from(KEY_16.hex, "hex"),
      { name: "HMAC", hash: "SHA-256" },
      true,
      ["sign"],
    );
    const expected = await webcrypto.subtle.sign("HMAC", key, Uint8Array.of(0));
    assert.equal(await result("query", "subtle:withPrepared"), hex(expected));
  });
});
