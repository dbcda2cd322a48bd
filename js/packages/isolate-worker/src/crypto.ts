/**
 * Cryptography for `crypto.subtle`: bytes and parameters in, bytes out, nothing kept. It runs inside
 * the caller's turn, so that its time is the caller's and its order is the program's.
 */
import crypto from "node:crypto";
import type { CipherGCM, DecipherGCM, KeyObject } from "node:crypto";
import type { HostAnswer } from "../../udf-runtime/src/host_interface.ts";

/** What the realm sends along; it has checked it, and it is hostile all the same. */
interface Parameters {
  name?: string;
  kind?: string;
  format?: string;
  type?: string;
  hash?: string;
  bytes?: number;
  iterations?: number;
  isEncryption?: boolean;
  tagBits?: number;
  counterBits?: number;
  saltLength?: number;
  modulusLength?: number;
  exponent?: number;
  jwk?: crypto.JsonWebKey;
}

/** JSON for the realm, and bytes. */
export type CryptoAnswer = [text: string, ...bytes: Uint8Array[]];

type Handler = (parameters: Parameters, bytes: Buffer[]) => CryptoAnswer;

const BYTES_MAX = 64 * 1024 * 1024;
const ITERATIONS_MAX = 10_000_000;
const MODULUS_BITS_MAX = 4096;

/** SPKI of a point: what stands before its bytes. */
const SPKI_PREFIX: Record<string, string> = {
  "P-256": "3059301306072a8648ce3d020106082a8648ce3d030107034200",
  "P-384": "3076301006072a8648ce3d020106052b81040022036200",
  "P-521": "30819b301006072a8648ce3d020106052b8104002303818600",
  Ed25519: "302a300506032b6570032100",
  X25519: "302a300506032b656e032100",
};
const OPENSSL_CURVES: Record<string, string> = {
  "P-256": "prime256v1",
  "P-384": "secp384r1",
  "P-521": "secp521r1",
};

function hashOf({ hash }: Parameters): string {
  if (!["SHA-1", "SHA-256", "SHA-384", "SHA-512"].includes(hash ?? "")) {
    throw new Error("Unknown hash");
  }
  return (hash as string).replace("-", "").toLowerCase();
}

function sizeOf({ bytes = 0 }: Parameters): number {
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > BYTES_MAX) {
    throw new Error(`More than ${BYTES_MAX} bytes cannot be made at once`);
  }
  return bytes;
}

function privateKey(der: Buffer | undefined): KeyObject {
  return crypto.createPrivateKey({ key: der ?? Buffer.alloc(0), format: "der", type: "pkcs8" });
}

function publicKey(der: Buffer | undefined): KeyObject {
  return crypto.createPublicKey({ key: der ?? Buffer.alloc(0), format: "der", type: "spki" });
}

function at(bytes: Buffer[], index: number): Buffer {
  return bytes[index] ?? Buffer.alloc(0);
}

// --- AES ---

function aes(parameters: Parameters, bytes: Buffer[]): CryptoAnswer {
  const mode = { "AES-CBC": "cbc", "AES-CTR": "ctr", "AES-GCM": "gcm" }[parameters.name ?? ""];
  const key = at(bytes, 0);
  const name = `aes-${key.length * 8}-${mode}`;
  if (mode === "gcm") return ["", gcm(name, parameters, bytes)];
  if (mode === "ctr") return ["", ctr(name, parameters, bytes)];
  const make = parameters.isEncryption ? crypto.createCipheriv : crypto.createDecipheriv;
  const cipher = make(name, key, at(bytes, 1));
  return ["", Buffer.concat([cipher.update(at(bytes, 2)), cipher.final()])];
}

function gcm(name: string, { isEncryption, tagBits = 128 }: Parameters, bytes: Buffer[]): Buffer {
  const [key, iv, data, additional] = [at(bytes, 0), at(bytes, 1), at(bytes, 2), at(bytes, 3)];
  const tagBytes = tagBits / 8;
  const options = { authTagLength: tagBytes };
  if (isEncryption) {
    const cipher = crypto.createCipheriv(name as "aes-128-gcm", key, iv, options) as CipherGCM;
    cipher.setAAD(additional);
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()]);
  }
  if (data.length < tagBytes) throw new Error("The data is shorter than its tag");
  const decipher = crypto.createDecipheriv(name as "aes-128-gcm", key, iv, options) as DecipherGCM;
  decipher.setAAD(additional);
  decipher.setAuthTag(data.subarray(data.length - tagBytes));
  const text = decipher.update(data.subarray(0, data.length - tagBytes));
  return Buffer.concat([text, decipher.final()]);
}

/** The engine counts with all 128 bits; a shorter counter wraps around before them. */
function ctr(name: string, { counterBits = 128 }: Parameters, bytes: Buffer[]): Buffer {
  const [key, counter, data] = [at(bytes, 0), at(bytes, 1), at(bytes, 2)];
  const whole = BigInt(`0x${counter.toString("hex")}`);
  const size = 1n << BigInt(counterBits);
  const low = whole % size;
  const blocks = BigInt(Math.ceil(data.length / 16));
  if (blocks > size) throw new Error("The data is longer than the counter can count");
  const firstBlocks = size - low < blocks ? Number(size - low) : Number(blocks);
  const first = crypto.createCipheriv(name, key, counter);
  const parts = [first.update(data.subarray(0, firstBlocks * 16))];
  if (BigInt(firstBlocks) < blocks) {
    const wrapped = Buffer.from((whole - low).toString(16).padStart(32, "0"), "hex");
    parts.push(crypto.createCipheriv(name, key, wrapped).update(data.subarray(firstBlocks * 16)));
  }
  return Buffer.concat(parts);
}

// --- Signatures ---

function signatureOptions(parameters: Parameters, key: KeyObject): crypto.SignKeyObjectInput {
  switch (parameters.name) {
    case "RSA-PSS":
      return {
        key,
        padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
        saltLength: parameters.saltLength ?? 0,
      };
    case "ECDSA":
      return { key, dsaEncoding: "ieee-p1363" };
    default:
      return { key };
  }
}

function digestName(parameters: Parameters): string | null {
  return parameters.name === "Ed25519" ? null : hashOf(parameters);
}

function sign(parameters: Parameters, bytes: Buffer[]): CryptoAnswer {
  const [key, data] = [at(bytes, 0), at(bytes, 1)];
  if (parameters.name === "HMAC") {
    return ["", crypto.createHmac(hashOf(parameters), key).update(data).digest()];
  }
  const options = signatureOptions(parameters, privateKey(key));
  return ["", crypto.sign(digestName(parameters), data, options)];
}

function verify(parameters: Parameters, bytes: Buffer[]): CryptoAnswer {
  const [key, data, signature] = [at(bytes, 0), at(bytes, 1), at(bytes, 2)];
  return ["", Uint8Array.of(isValid(parameters, key, data, signature) ? 1 : 0)];
}

function isValid(parameters: Parameters, key: Buffer, data: Buffer, signature: Buffer): boolean {
  if (parameters.name === "HMAC") {
    const expected = crypto.createHmac(hashOf(parameters), key).update(data).digest();
    return expected.length === signature.length && crypto.timingSafeEqual(expected, signature);
  }
  const options = signatureOptions(parameters, publicKey(key));
  return crypto.verify(digestName(parameters), data, options, signature);
}

function rsaOaep(parameters: Parameters, bytes: Buffer[]): CryptoAnswer {
  const { isEncryption } = parameters;
  const [der, data, label] = [at(bytes, 0), at(bytes, 1), at(bytes, 2)];
  const options = {
    key: isEncryption ? publicKey(der) : privateKey(der),
    padding: crypto.constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: hashOf(parameters),
    ...(label.length > 0 ? { oaepLabel: label } : {}),
  };
  return [
    "",
    isEncryption ? crypto.publicEncrypt(options, data) : crypto.privateDecrypt(options, data),
  ];
}

// --- Derivation ---

function hkdf(parameters: Parameters, bytes: Buffer[]): CryptoAnswer {
  const [key, salt, info] = [at(bytes, 0), at(bytes, 1), at(bytes, 2)];
  const derived = crypto.hkdfSync(hashOf(parameters), key, salt, info, sizeOf(parameters));
  return ["", new Uint8Array(derived)];
}

function pbkdf2(parameters: Parameters, bytes: Buffer[]): CryptoAnswer {
  const { iterations = 0 } = parameters;
  const size = sizeOf(parameters);
  if (!(iterations >= 1 && iterations * Math.ceil(size / 20) <= ITERATIONS_MAX)) {
    throw new Error(`More than ${ITERATIONS_MAX} iterations in all cannot be made`);
  }
  const hash = hashOf(parameters);
  return ["", crypto.pbkdf2Sync(at(bytes, 0), at(bytes, 1), iterations, size, hash)];
}

function agree(_: Parameters, bytes: Buffer[]): CryptoAnswer {
  const pair = { privateKey: privateKey(bytes[0]), publicKey: publicKey(bytes[1]) };
  const secret = crypto.diffieHellman(pair);
  if (secret.every((byte) => byte === 0)) throw new Error("The keys share no secret");
  return ["", secret];
}

// --- Keys ---

function factsOf(key: KeyObject): object {
  const details = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "rsa": {
      const hex = (details.publicExponent ?? 0n).toString(16);
      const publicExponent = hex.length % 2 === 0 ? hex : `0${hex}`;
      return { kind: "rsa", modulusLength: details.modulusLength, publicExponent };
    }
    case "ec": {
      const curve = Object.keys(OPENSSL_CURVES).find(
        (name) => OPENSSL_CURVES[name] === details.namedCurve,
      );
      return { kind: curve ?? details.namedCurve };
    }
    case "ed25519":
      return { kind: "Ed25519" };
    case "x25519":
      return { kind: "X25519" };
    default:
      return { kind: key.asymmetricKeyType };
  }
}

function derOf(key: KeyObject): Buffer {
  return key.type === "private"
    ? key.export({ format: "der", type: "pkcs8" })
    : key.export({ format: "der", type: "spki" });
}

function importKey(parameters: Parameters, bytes: Buffer[]): CryptoAnswer {
  const key = readKey(parameters, at(bytes, 0));
  return [JSON.stringify({ type: key.type, ...factsOf(key) }), derOf(key)];
}

function readKey({ format, kind = "", jwk }: Parameters, data: Buffer): KeyObject {
  switch (format) {
    case "pkcs8":
      return privateKey(data);
    case "spki":
      return publicKey(data);
    case "jwk": {
      if (jwk?.["d"] === undefined)
        return crypto.createPublicKey({ key: jwk ?? {}, format: "jwk" });
      const key = crypto.createPrivateKey({ key: jwk, format: "jwk" });
      const isPair = key.export({ format: "jwk" })["x"] === jwk["x"];
      if (!isPair) throw new Error("The private key does not belong to the public one");
      return key;
    }
    default: {
      const curve = OPENSSL_CURVES[kind];
      const point =
        curve === undefined
          ? data
          : (crypto.ECDH.convertKey(data, curve, undefined, undefined, "uncompressed") as Buffer);
      return publicKey(Buffer.concat([Buffer.from(SPKI_PREFIX[kind] ?? "", "hex"), point]));
    }
  }
}

function exportKey({ format, type }: Parameters, bytes: Buffer[]): CryptoAnswer {
  const key = type === "private" ? privateKey(bytes[0]) : publicKey(bytes[0]);
  if (format === "jwk") return [JSON.stringify(key.export({ format: "jwk" }))];
  const der = derOf(key);
  if (format !== "raw") return ["", der];
  const { kind } = factsOf(key) as { kind: string };
  return ["", der.subarray((SPKI_PREFIX[kind] ?? "").length / 2)];
}

function generateKey(parameters: Parameters): CryptoAnswer {
  const { privateKey: secret, publicKey: open } = generatePair(parameters);
  return [JSON.stringify({ type: "public", ...factsOf(open) }), derOf(secret), derOf(open)];
}

function generatePair({ kind = "", modulusLength = 0, exponent }: Parameters): {
  privateKey: KeyObject;
  publicKey: KeyObject;
} {
  if (kind === "Ed25519") return crypto.generateKeyPairSync("ed25519");
  if (kind === "X25519") return crypto.generateKeyPairSync("x25519");
  const namedCurve = OPENSSL_CURVES[kind];
  if (namedCurve !== undefined) return crypto.generateKeyPairSync("ec", { namedCurve });
  if (modulusLength > MODULUS_BITS_MAX) throw new Error("The modulus is too long");
  if (exponent !== 3 && exponent !== 65_537) throw new Error("The exponent must be 3 or 65537");
  return crypto.generateKeyPairSync("rsa", { modulusLength, publicExponent: exponent });
}

const HANDLERS: Record<string, Handler> = {
  digest: (parameters, bytes) => [
    "",
    crypto.createHash(hashOf(parameters)).update(at(bytes, 0)).digest(),
  ],
  random: (parameters) => ["", crypto.randomBytes(sizeOf(parameters))],
  aes,
  sign,
  verify,
  rsaOaep,
  hkdf,
  pbkdf2,
  agree,
  importKey,
  exportKey,
  generateKey,
};

/** What the names of these calls begin with. */
export const CRYPTO_PREFIX = "fenchel/crypto/";

/** The answer for the realm: a refusal says what is wrong with key or data. */
export function answerCrypto(op: string, argsJson: string, bytes: ArrayBuffer[]): HostAnswer {
  const name = op.slice(CRYPTO_PREFIX.length);
  try {
    const handler = Object.hasOwn(HANDLERS, name) ? HANDLERS[name] : undefined;
    if (handler === undefined) throw new Error(`Unknown operation ${name}`);
    const buffers = bytes.map((buffer) => Buffer.from(buffer));
    const [text, ...answered] = handler(JSON.parse(argsJson) as Parameters, buffers);
    return [`1${text}`, ...answered.map(copyOf)];
  } catch (error) {
    return `0${JSON.stringify({ message: error instanceof Error ? error.message : String(error) })}`;
  }
}

/** A buffer that holds nothing but these bytes: small ones share theirs with others. */
function copyOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
