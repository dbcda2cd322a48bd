"""Which functions are known to compute for long."""

from fenchel.definitions import FunctionPath
from fenchel.isolate.long_functions import LongFunctions

LOOP, LIST = FunctionPath("", "m.js", "loop"), FunctionPath("", "m.js", "list")


def test_the_last_execution_decides() -> None:
    functions = LongFunctions()
    functions.note("k", LOOP, 1.0)
    functions.note("k", LIST, 0.001)
    assert (functions.has("k", LOOP), functions.has("k", LIST)) == (True, False)
    functions.note("k", LOOP, 0.001)
    assert not functions.has("k", LOOP)


def test_other_code_is_not_known_yet() -> None:
    functions = LongFunctions()
    functions.note("k", LOOP, 1.0)
    assert not functions.has("other", LOOP)


def test_only_the_latest_are_kept() -> None:
    functions = LongFunctions()
    for number in range(1_001):
        functions.note(str(number), LOOP, 1.0)
    assert (functions.has("0", LOOP), functions.has("1", LOOP)) == (False, True)


def test_an_execution_that_goes_on_may_only_become_known() -> None:
    functions = LongFunctions()
    functions.note_running("k", LOOP, 0.05)
    assert not functions.has("k", LOOP)
    functions.note_running("k", LOOP, 0.2)
    functions.note_running("k", LOOP, 0.05)
    assert functions.has("k", LOOP)
