import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";

describe("web APIs", async () => {
  const { result } = await setUp(true);

  test("URL", async () => {
    const href = "https://user@xn--exmple-cua.org:8080/b?x=1&y=2+3#h";
    assert.deepEqual(await result("query", "web:url"), [
      href,
      "xn--exmple-cua.org:8080",
      [
        ["a", "1"],
        ["a", "2"],
      ],
      false,
    ]);
  });

  test("a URL made at import is in the snapshot", async () => {
    assert.equal(await result("query", "web:urlAtImport"), "https://example.org/b");
  });

  test("hosts are those of the standard, with Unicode's tables and without", async () => {
    const names = [
      "EXAMPLE.org",
      "a_b.c--d",
      "ex%41mple.org",
      "xn--exmple-cua.ORG",
      "fa\u00df.de",
      "\u212a.org",
      "1.2.3",
      "0x7f.1",
      "a b",
      "a\u00adb",
      "[::1]",
      "..",
      "",
    ];
    const expected = names.map((name) =>
      URL.canParse(`https://${name}/`) ? new URL(`https://${name}/`).host : null,
    );
    assert.deepEqual(await result("query", "web:hosts", { names }), expected);
  });

  test("text encoding and base64", async () => {
    assert.deepEqual(await result("query", "web:text"), [
      10,
      "héllo €",
      "aGn/",
      "hi",
      "hi\0".slice(0, 3),
    ]);
  });

  test("TextDecoder knows every encoding of the standard", async () => {
    const texts: [string, number[]][] = [
      ["latin1", [0xe4, 0x80]],
      ["koi8-r", [0xc1]],
      ["utf-16be", [0x20, 0xac]],
      ["sjis", [0x82, 0xa0]],
      ["euc-jp", [0xa4, 0xa2]],
      ["iso-2022-jp", [0x1b, 0x24, 0x42, 0x24, 0x22]],
      ["gb2312", [0xc4, 0xe3]],
      ["gb18030", [0x81, 0x30, 0x81, 0x30]],
      ["big5", [0xa7, 0x41]],
      ["euc-kr", [0xb0, 0xa1]],
    ];
    const expected = texts.map(([label, bytes]) => {
      const decoder = new TextDecoder(label);
      return [decoder.encoding, decoder.decode(Uint8Array.from(bytes))];
    });
    assert.deepEqual(await result("query", "web:decodeAll", { texts }), expected);
  });

  test("structuredClone", async () => {
    assert.deepEqual(await result("query", "web:clone"), [
      5,
      true,
      true,
      true,
      "DataCloneError true",
    ]);
  });

  test("AbortController", async () => {
    assert.deepEqual(await result("query", "web:abort"), ["heard", "AbortError", true]);
  });

  test("Request and Response", async () => {
    const headers = [
      ["b", "2"],
      ["content-type", "text/plain;charset=UTF-8"],
    ];
    assert.deepEqual(await result("query", "web:http"), [
      "POST",
      { a: 1 },
      headers,
      201,
      '{"ok":true}',
      true,
    ]);
  });

  test("queueMicrotask, WeakRef, and what is absent", async () => {
    assert.deepEqual(await result("query", "web:microtask"), [1, 2]);
    assert.deepEqual(await result("query", "web:weak"), [true, "undefined", false, true]);
  });
});
