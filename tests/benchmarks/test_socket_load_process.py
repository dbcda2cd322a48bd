import pytest

from benchmarks.load import LIST_LENGTH
from benchmarks.peers.bare_server import TRANSITION
from benchmarks.socket_load_process import check_transition


def test_what_the_bare_server_sends_is_a_right_answer() -> None:
    check_transition(TRANSITION.encode())


@pytest.mark.parametrize(
    "message",
    [
        TRANSITION.replace("Transition", "FatalError", 1),
        TRANSITION.replace('"_id"', '"id"', 1),
        '{"type":"Transition","modifications":[]}' + '"_id"' * (LIST_LENGTH + 1),
    ],
)
def test_a_wrong_answer_is_found(message: str) -> None:
    with pytest.raises(ValueError, match="not a list"):
        check_transition(message.encode())
