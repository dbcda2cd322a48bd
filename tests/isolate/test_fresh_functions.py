"""Which functions are known to be given up by warm realms."""

from fenchel.definitions import FunctionPath
from fenchel.isolate.fresh_functions import FreshFunctions
from fenchel.udf import FreshCause, WhyFresh

KEEP, LIST = FunctionPath("", "m.js", "keep"), FunctionPath("", "m.js", "list")


def test_what_was_noted_is_found_for_that_code_only() -> None:
    functions = FreshFunctions()
    functions.note("k", KEEP, "use of eval")
    assert functions.find("k", KEEP) == WhyFresh(cause=FreshCause.FUNCTION, detail="use of eval")
    assert functions.find("k", LIST) is None
    assert functions.find("other", KEEP) is None


def test_only_the_latest_are_kept() -> None:
    functions = FreshFunctions()
    for number in range(1_001):
        functions.note(str(number), KEEP, "use of eval")
    assert functions.find("0", KEEP) is None
    assert functions.find("1", KEEP) is not None
