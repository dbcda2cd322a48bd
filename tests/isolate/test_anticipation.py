"""What is learned from runs, and how long it is believed."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from fenchel.definitions import FunctionPath
from fenchel.isolate.anticipation import (
    ANTICIPATED_CALLS_MAX,
    Anticipation,
    Anticipations,
    CallRecorder,
    Turn,
)
from fenchel.isolate.messages import Syscall
from fenchel.udf import UdfRequest
from tests.isolate.requests import make_request

REQUEST = make_request()


def request(**args: object) -> UdfRequest:
    return replace(REQUEST, args_json=f"[{msgspec.json.encode(args).decode()}]")


def turn(*texts: str, first: int = 0) -> Turn:
    calls = (Syscall(first + i, "1.0/get", text.encode()) for i, text in enumerate(texts))
    return tuple(calls)


def learned(*turns: Turn, **args: object) -> Anticipation:
    anticipation = Anticipation()
    anticipation.learn(request(**args), list(turns))
    return anticipation


def test_nothing_is_expected_before_a_run_was_seen() -> None:
    anticipation = Anticipation()
    assert anticipation.predict(REQUEST) == []
    assert anticipation.wants_run


def test_a_repeated_request_is_expected_to_do_the_same() -> None:
    turns = [turn('{"id":"x"}', '{"id":"y"}'), turn('{"id":"z"}', first=2)]
    assert learned(*turns).predict(REQUEST) == turns


def test_arguments_that_were_passed_on_follow_the_request() -> None:
    anticipation = learned(turn('{"id":"abc","table":"t","n":[17,"abc"]}'), who="abc", count=17)
    assert anticipation.predict(request(who='"', count=1.5)) == [
        turn('{"id":"\\"","table":"t","n":[1.5,"\\""]}')
    ]


def test_arguments_are_found_side_by_side_and_inside_of_others() -> None:
    anticipation = learned(turn('[17,17,{"id":17},170,[17]]'), count=17, all={"id": 17})
    assert anticipation.predict(request(count=2.5, all=None)) == [turn("[2.5,2.5,null,170,[2.5]]")]


def test_a_whole_object_can_be_passed_on() -> None:
    anticipation = learned(turn('{"value":{"a":[1]},"table":"t"}'), document={"a": [1]})
    assert anticipation.predict(request(document=None)) == [turn('{"value":null,"table":"t"}')]


def test_names_of_fields_and_parts_of_texts_are_no_arguments() -> None:
    text = '{"abc":"xabc","id":"abc "}'
    assert learned(turn(text), who="abc").predict(request(who="other")) == [turn(text)]


def test_without_the_argument_the_turns_before_are_expected() -> None:
    anticipation = learned(turn('{"id":"x"}'), turn('{"id":"abc"}', first=1), who="abc")
    assert anticipation.predict(REQUEST) == [turn('{"id":"x"}')]


def test_arguments_that_are_no_object_predict_nothing() -> None:
    anticipation = learned(turn("{}"))
    for args_json in ("[]", "[1]", "nonsense", "[{},{}]"):
        assert anticipation.predict(replace(REQUEST, args_json=args_json)) == []
        Anticipation().learn(replace(REQUEST, args_json=args_json), [turn("{}")])


def test_one_early_miss_leaves_what_both_runs_have_in_common() -> None:
    same, one, other = turn("1"), turn("2", first=1), turn("3", first=1)
    anticipation = learned(same, one)
    anticipation.record_run(is_miss=True)
    assert anticipation.wants_run
    anticipation.learn(REQUEST, [same, other])
    assert anticipation.predict(REQUEST) == [same]
    assert not anticipation.wants_run


def test_a_rare_miss_changes_nothing() -> None:
    anticipation = learned(turn("1"))
    for _ in range(15):
        anticipation.record_run(is_miss=False)
    anticipation.record_run(is_miss=True)
    assert not anticipation.wants_run
    anticipation.record_run(is_miss=True)
    assert anticipation.wants_run


def test_a_function_of_which_nothing_is_expected_is_tried_again_seldom() -> None:
    anticipation = learned()
    for _ in range(63):
        anticipation.record_run(is_miss=False)
    assert not anticipation.wants_run
    anticipation.record_run(is_miss=False)
    assert anticipation.wants_run
    anticipation.learn(REQUEST, [turn("1")])
    assert anticipation.predict(REQUEST) == [turn("1")]


def test_functions_and_versions_of_the_code_learn_apart() -> None:
    anticipations = Anticipations()
    first = anticipations.find("code", REQUEST)
    other_function = replace(REQUEST, path=FunctionPath("", "m.js", "g"))
    assert anticipations.find("code", REQUEST) is first
    assert anticipations.find("newer", REQUEST) is not first
    assert anticipations.find("code", other_function) is not first


def test_recording_ends_at_a_call_that_cannot_be_anticipated() -> None:
    recorder = CallRecorder()
    recorder.add(list(turn("1")))
    recorder.add([*turn("2", first=1), Syscall(2, "1.0/runUdf", b"{}")])
    recorder.add(list(turn("3", first=3)))
    assert recorder.turns == [turn("1")]


def test_recording_is_bounded_in_calls_and_bytes() -> None:
    recorder = CallRecorder()
    for number in range(ANTICIPATED_CALLS_MAX + 4):
        recorder.add(list(turn("1", first=number)))
    assert len(recorder.turns) == ANTICIPATED_CALLS_MAX
    recorder = CallRecorder()
    recorder.add(list(turn("x" * 20_000)))
    assert recorder.turns == []
