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

  test("text encoding and base64", async () => {
    assert.deepEqual(await result("query", "web:text"), [
      10,
      "héllo €",
      "aGn/",
      "hi",
      "hi\0".slice(0, 3),
    ]);
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
