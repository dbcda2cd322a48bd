"""What a worker may say, and that everything else is a protocol error."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.isolate.frames import Frame, FrameType, ProtocolError
from fenchel.isolate.messages import (
    AnsweredCall,
    Syscall,
    decode_loaded,
    decode_log,
    decode_outcome,
    decode_ready,
    decode_snapshot_result,
    decode_sync_call,
    decode_syscalls,
    encode_answered_calls,
    encode_error_payload,
)

READY = {"protocol": 1, "node": "24.1.0", "v8": "13", "runtimeDigest": "ab"}
OUTCOME = {
    "kind": "success",
    "logLines": [],
    "observedTime": False,
    "observedRandomness": False,
    "envRead": [],
    "consumed": [[0, 3, 1]],
    "userMs": 1.5,
    "heapBytes": 10,
    "realm": "fresh",
}


def frame(type: FrameType, *fields: object) -> Frame:
    encoded = [f if isinstance(f, bytes) else json.dumps(f).encode() for f in fields]
    return Frame(type, 1, tuple(encoded))


def test_ready_tells_the_protocol() -> None:
    assert decode_ready(frame(FrameType.READY, READY)).runtime_digest == "ab"


def test_another_protocol_version_is_refused() -> None:
    with pytest.raises(ProtocolError, match="protocol 2"):
        decode_ready(frame(FrameType.READY, {**READY, "protocol": 2}))


def test_a_field_that_is_not_known_is_refused() -> None:
    with pytest.raises(ProtocolError, match="unknown field"):
        decode_loaded(frame(FrameType.LOADED, {"ok": True, "extra": 1}))


def test_system_calls_keep_their_order() -> None:
    calls = decode_syscalls(frame(FrameType.SYSCALLS, [[7, "1.0/get"], [3, "a"]], b"{}", b"[]"))
    assert calls == [Syscall(7, "1.0/get", b"{}"), Syscall(3, "a", b"[]")]


@pytest.mark.parametrize(
    ("meta", "count"),
    [([], 0), ([[1, "a"]], 0), ([[1, "a"]], 2), ([[-1, "a"]], 1), ([[1, 2]], 1), ("x", 1)],
)
def test_meta_that_does_not_fit_its_arguments_is_refused(meta: object, count: int) -> None:
    with pytest.raises(ProtocolError):
        decode_syscalls(frame(FrameType.SYSCALLS, meta, *[b"{}"] * count))


def test_an_outcome_brings_its_result_untouched() -> None:
    outcome = decode_outcome(frame(FrameType.OUTCOME, OUTCOME, b'{"a":1}'))
    assert outcome.result == b'{"a":1}'
    assert outcome.header.consumed == [(0, 3, 1)]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "great"},
        {"kind": "error"},
        {"consumed": [[0, 3, 2]]},
        {"consumed": [[-1, 3, 1]]},
        {"userMs": -1},
        {"userMs": "1"},
        {"heapBytes": 2**60},
        {"logLines": [{"level": "LOUD", "messages": [], "timestampMs": 1}]},
        {"surprise": True},
    ],
)
def test_an_outcome_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_outcome(frame(FrameType.OUTCOME, {**OUTCOME, **change}, b""))


@given(st.lists(st.binary(max_size=40), max_size=4), st.sampled_from(list(FrameType)))
def test_no_frame_raises_anything_but_a_protocol_error(
    fields: list[bytes], type: FrameType
) -> None:
    for decode in (
        decode_ready,
        decode_loaded,
        decode_syscalls,
        decode_log,
        decode_outcome,
        decode_sync_call,
        decode_snapshot_result,
    ):
        with suppress(ProtocolError):
            decode(Frame(type, 1, tuple(fields)))


def test_an_error_payload_holds_the_data_as_it_is() -> None:
    payload = encode_error_payload('no "x"', '{"code":{"$integer":"AQAAAAAAAAA="}}')
    assert json.loads(payload) == {
        "message": 'no "x"',
        "data": {"code": {"$integer": "AQAAAAAAAAA="}},
    }


def test_answered_calls_go_as_meta_and_pairs() -> None:
    calls = [
        AnsweredCall("1.0/get", b"{}", True, b"null", 0),
        AnsweredCall("1.0/get", b"[]", False, b"no", 1),
    ]
    meta, *pairs = encode_answered_calls(calls)
    assert json.loads(meta) == [["1.0/get", 1, 0], ["1.0/get", 0, 1]]
    assert pairs == [b"{}", b"null", b"[]", b"no"]
    assert encode_answered_calls([]) == []


def test_half_a_surrogate_pair_is_replaced_not_refused() -> None:
    header = b'{"kind":"error","error":{"message":"half \\ud800 \\\\ud800","frames":[]}}'
    outcome = decode_outcome(Frame(FrameType.OUTCOME, 1, (header, b"")))
    assert outcome.header.error is not None
    assert outcome.header.error.message == "half \ufffd \\ud800"
