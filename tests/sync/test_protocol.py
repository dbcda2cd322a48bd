"""Messages on the wire (client-protocol 3.3-3.5, 3.9)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.errors import FenchelError
from fenchel.sync.protocol import (
    Authenticate,
    ClientEvent,
    Connect,
    EncodedModification,
    ModifyQuerySet,
    MutationResponse,
    Ping,
    QueryAdd,
    QueryFailed,
    QueryRemove,
    QueryUpdated,
    StateVersion,
    Transition,
    decode_client_message,
    encode_chunks,
    encode_server_message,
)

SESSION = "3c96bca9-a4e4-4da8-8d91-0f82b34e8701"
VERSION = StateVersion(query_set=0, identity=0, ts="AAAAAAAAAAA=")


def decode(message: dict[str, Any]) -> object:
    return decode_client_message(json.dumps(message))


class TestClientMessages:
    """3.4, and the recordings of section 6."""

    def test_connect_of_npm(self) -> None:
        message = decode(
            {
                "connectionCount": 0,
                "lastCloseReason": "InitialConnect",
                "clientTs": 1795252519464,
                "type": "Connect",
                "sessionId": SESSION,
            }
        )
        assert isinstance(message, Connect)
        assert str(message.session_id) == SESSION
        assert message.max_observed_timestamp is None

    def test_session_id_must_be_a_uuid(self) -> None:
        with pytest.raises(FenchelError) as caught:
            decode({"type": "Connect", "sessionId": "me", "connectionCount": 0})
        assert caught.value.code == "WSMessageInvalidJson"

    def test_arguments_stay_as_they_were_sent(self) -> None:
        args = '[{"big": {"$integer":"BQAAAAAAAAA="}, "n":1}]'
        message = decode_client_message(
            '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":['
            f'{{"type":"Add","queryId":0,"udfPath":"messages:list","args":{args}}},'
            '{"type":"Remove","queryId":7}]}'
        )
        assert isinstance(message, ModifyQuerySet)
        add, remove = message.modifications
        assert isinstance(add, QueryAdd)
        assert bytes(add.args).decode() == args
        assert add.journal is None
        assert remove == QueryRemove(query_id=7)

    @pytest.mark.parametrize("name", ["impersonating", "acting_as"])
    def test_both_spellings_of_acting_as_a_user(self, name: str) -> None:
        message = decode(
            {
                "type": "Authenticate",
                "baseVersion": 1,
                "tokenType": "Admin",
                "value": "k",
                name: {"subject": "s"},
            }
        )
        assert isinstance(message, Authenticate)
        assert {"subject": "s"} in (message.impersonating, message.acting_as)

    def test_unknown_fields_are_tolerated(self) -> None:
        message = decode({"type": "Event", "eventType": "News", "event": [1], "more": {}})
        assert isinstance(message, ClientEvent)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "{}",
            "[]",
            '{"type":"Unheard"}',
            '{"type":"Remove","queryId":1}',
            '{"type":"ModifyQuerySet","baseVersion":-1,"newVersion":0,"modifications":[]}',
            '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":4294967296,"modifications":[]}',
            '{"type":"Mutation","requestId":0,"udfPath":"m"}',
            '{"type":"Event","eventType":"\\ud800"}',
        ],
    )
    def test_anything_else_is_invalid_json(self, text: str) -> None:
        with pytest.raises(FenchelError) as caught:
            decode_client_message(text)
        assert caught.value.code == "WSMessageInvalidJson"


class TestServerMessages:
    """3.5."""

    def test_values_are_spliced_in_untouched(self) -> None:
        encoded = EncodedModification(
            QueryUpdated(query_id=0, value=msgspec.Raw(b'{"a":1.0}'), log_lines=(), journal=None)
        )
        update = encoded.for_query(0)
        text = encode_server_message(
            Transition(start_version=VERSION, end_version=VERSION, modifications=(update,))
        )
        assert text.decode() == (
            '{"type":"Transition","startVersion":{"querySet":0,"identity":0,"ts":"AAAAAAAAAAA="},'
            '"endVersion":{"querySet":0,"identity":0,"ts":"AAAAAAAAAAA="},"modifications":'
            '[{"type":"QueryUpdated","queryId":0,"value":{"a":1.0},"logLines":[],"journal":null}]}'
        )

    @given(query_ids=st.lists(st.integers(0, (1 << 32) - 1), min_size=1))
    def test_a_result_is_encoded_once_and_named_for_each_client(self, query_ids: list[int]) -> None:
        failed = QueryFailed(
            query_id=7, error_message='"queryId":7', log_lines=('"queryId":7',), journal=None
        )
        encoded = EncodedModification(failed)
        for query_id in query_ids:
            expected = msgspec.structs.replace(failed, query_id=query_id)
            assert bytes(encoded.for_query(query_id)) == msgspec.json.encode(expected)

    def test_error_data_is_absent_unless_there_is_some(self) -> None:
        plain = QueryFailed(query_id=0, error_message="e", log_lines=(), journal=None)
        assert "errorData" not in msgspec.to_builtins(plain)
        null = msgspec.structs.replace(plain, error_data=msgspec.Raw(b"null"))
        assert b'"errorData":null' in msgspec.json.encode(null)

    def test_a_failed_mutation_has_its_error_as_result_and_no_timestamp(self) -> None:
        response = MutationResponse(
            request_id=2, success=False, result="no", ts=None, log_lines=("[LOG] 'x'",)
        )
        assert json.loads(encode_server_message(response)) == {
            "type": "MutationResponse",
            "requestId": 2,
            "success": False,
            "result": "no",
            "ts": None,
            "logLines": ["[LOG] 'x'"],
        }

    def test_ping_has_no_fields(self) -> None:
        assert encode_server_message(Ping()) == b'{"type":"Ping"}'


class TestChunks:
    """3.9."""

    def test_a_text_of_exactly_the_limit_is_not_split(self) -> None:
        assert encode_chunks(b"x" * 10, 10) == (b"x" * 10,)

    @given(text=st.text(min_size=1, max_size=60), bytes_max=st.integers(4, 20))
    def test_pieces_are_bounded_ordered_and_complete(self, text: str, bytes_max: int) -> None:
        chunks = [json.loads(chunk) for chunk in _chunks(text, bytes_max)]
        assert "".join(chunk["chunk"] for chunk in chunks) == text
        assert [chunk["partNumber"] for chunk in chunks] == list(range(len(chunks)))
        assert {chunk["totalParts"] for chunk in chunks} == {len(chunks)}
        assert len({chunk["transitionId"] for chunk in chunks}) == 1
        assert all(len(chunk["chunk"].encode()) <= bytes_max for chunk in chunks)


def _chunks(text: str, bytes_max: int) -> tuple[bytes | str, ...]:
    texts = encode_chunks(text.encode(), bytes_max)
    if texts == (text.encode(),):
        whole = {"chunk": text, "partNumber": 0, "totalParts": 1, "transitionId": "whole"}
        return (json.dumps(whole),)
    return texts
