import json

import pytest

from benchmarks.load import percentile
from benchmarks.load_process import Gets, check_list, check_send


def list_answer(
    *, count: int = 20, channel: str = "channel-1", is_ascending: bool = False
) -> bytes:
    documents = [
        {
            "_id": str(number),
            "_creationTime": float(number if is_ascending else -number),
            "author": "a",
            "body": "b",
            "channel": channel,
        }
        for number in range(count)
    ]
    return json.dumps({"status": "success", "value": documents}).encode()


def test_a_right_list_passes() -> None:
    check_list(list_answer(), channel="channel-1")


@pytest.mark.parametrize(
    "body",
    [
        list_answer(count=19),
        list_answer(channel="channel-2"),
        list_answer(is_ascending=True),
        b'{"status":"error","errorMessage":"no"}',
    ],
)
def test_a_wrong_list_is_found(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not|other"):
        check_list(body, channel="channel-1")


def test_a_failed_send_is_found() -> None:
    check_send(b'{"status":"success","value":"id"}')
    with pytest.raises(ValueError, match="id"):
        check_send(b'{"status":"error","value":"id"}')


def test_gets_go_round_and_each_must_have_its_own_answer() -> None:
    gets = Gets([(b"GET a", b"one"), (b"GET b", b"two")])
    assert [gets.encode(sequence) for sequence in (0, 1, 2)] == [b"GET a", b"GET b", b"GET a"]
    gets.check(b"one")
    with pytest.raises(ValueError, match="not b'one'"):
        gets.check(b"two")


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(100)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
