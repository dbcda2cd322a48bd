import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_BYTES_MAX, FrameDecoder, FrameError, encodeFrame } from "../src/frames.ts";

const plain = (frames: { type: number; id: number; fields: Buffer[] }[]): unknown =>
  frames.map(({ type, id, fields }) => [type, id, fields.map(String)]);

test("frames survive being cut anywhere", () => {
  const bytes = Buffer.concat([
    encodeFrame(1, 7, ["é", ""]),
    encodeFrame(255, 0xffffffff, []),
    encodeFrame(3, 0, ["x"]),
  ]);
  for (let size = 1; size <= bytes.length; size++) {
    const decoder = new FrameDecoder();
    const frames = [];
    for (let start = 0; start < bytes.length; start += size)
      frames.push(...decoder.push(bytes.subarray(start, start + size)));
    assert.deepEqual(plain(frames), [
      [1, 7, ["é", ""]],
      [255, 0xffffffff, []],
      [3, 0, ["x"]],
    ]);
  }
});

test("lengths out of range and fields beyond their frame are refused", () => {
  const tooLong = Buffer.alloc(4);
  tooLong.writeUInt32LE(FRAME_BYTES_MAX + 1);
  assert.throws(() => new FrameDecoder().push(tooLong), FrameError);
  assert.throws(() => new FrameDecoder().push(Buffer.from([1, 0, 0, 0, 1])), FrameError);
  const broken = encodeFrame(1, 1, ["abc"]);
  broken.writeUInt32LE(99, 9);
  assert.throws(() => new FrameDecoder().push(broken), FrameError);
});
