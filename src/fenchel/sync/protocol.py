"""Messages of the sync socket, as the official clients send and read them (client-protocol
3.3-3.5).

Values travel as texts that are already encoded: arguments are kept as they came, results are
spliced in.
Unknown fields from clients are tolerated, unknown message types are not. Nothing here knows a
socket.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from fenchel.errors import bad_request

U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class Connect(msgspec.Struct, tag="Connect", rename="camel", frozen=True, kw_only=True):
    """`client_ts` is in milliseconds; Rust and Python clients always send 0."""

    session_id: UUID
    connection_count: int
    last_close_reason: str | None = None
    max_observed_timestamp: str | None = None
    client_ts: float | None = None


class QueryAdd(msgspec.Struct, tag="Add", rename="camel", frozen=True, kw_only=True):
    """`args` is the JSON text of an array with one object."""

    query_id: U32
    udf_path: str
    args: msgspec.Raw
    journal: str | None = None
    component_path: str | None = None


class QueryRemove(msgspec.Struct, tag="Remove", rename="camel", frozen=True, kw_only=True):
    query_id: U32


class ModifyQuerySet(
    msgspec.Struct, tag="ModifyQuerySet", rename="camel", frozen=True, kw_only=True
):
    base_version: U32
    new_version: U32
    modifications: tuple[QueryAdd | QueryRemove, ...]


class MutationRequest(msgspec.Struct, tag="Mutation", rename="camel", frozen=True, kw_only=True):
    request_id: U32
    udf_path: str
    args: msgspec.Raw
    component_path: str | None = None


class ActionRequest(msgspec.Struct, tag="Action", rename="camel", frozen=True, kw_only=True):
    request_id: U32
    udf_path: str
    args: msgspec.Raw
    component_path: str | None = None


class Authenticate(msgspec.Struct, tag="Authenticate", rename="camel", frozen=True, kw_only=True):
    """An admin may act as a user: npm says `impersonating`, Rust and Python say `acting_as`."""

    base_version: U32
    token_type: Literal["None", "User", "Admin"]
    value: str | None = None
    impersonating: dict[str, Any] | None = None
    acting_as: dict[str, Any] | None = msgspec.field(default=None, name="acting_as")


class ClientEvent(msgspec.Struct, tag="Event", rename="camel", frozen=True, kw_only=True):
    """Telemetry of any type, ignored (3.18)."""

    event_type: str = ""


ClientMessage = (
    Connect | ModifyQuerySet | MutationRequest | ActionRequest | Authenticate | ClientEvent
)


class StateVersion(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`ts` is base64 of a little-endian u64."""

    query_set: int
    identity: int
    ts: str


class QueryUpdated(msgspec.Struct, tag="QueryUpdated", rename="camel", frozen=True, kw_only=True):
    query_id: int
    value: msgspec.Raw
    log_lines: tuple[str, ...]
    journal: str | None


class QueryFailed(msgspec.Struct, tag="QueryFailed", rename="camel", frozen=True, kw_only=True):
    """The presence of `error_data`, even null, makes it a ConvexError at the client."""

    query_id: int
    error_message: str
    log_lines: tuple[str, ...]
    journal: str | None
    error_data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class QueryRemoved(msgspec.Struct, tag="QueryRemoved", rename="camel", frozen=True, kw_only=True):
    query_id: int


class Transition(msgspec.Struct, tag="Transition", rename="camel", frozen=True, kw_only=True):
    """`modifications` are encoded already: most are the same for many clients."""

    start_version: StateVersion
    end_version: StateVersion
    modifications: tuple[msgspec.Raw, ...]


class TransitionChunk(
    msgspec.Struct, tag="TransitionChunk", rename="camel", frozen=True, kw_only=True
):
    chunk: str
    part_number: int
    total_parts: int
    transition_id: str


class MutationResponse(
    msgspec.Struct, tag="MutationResponse", rename="camel", frozen=True, kw_only=True
):
    """`result` is a value, or the error text if it failed; `ts` is null then."""

    request_id: int
    success: bool
    result: msgspec.Raw | str
    ts: str | None
    log_lines: tuple[str, ...]
    error_data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ActionResponse(
    msgspec.Struct, tag="ActionResponse", rename="camel", frozen=True, kw_only=True
):
    request_id: int
    success: bool
    result: msgspec.Raw | str
    log_lines: tuple[str, ...]
    error_data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class AuthError(msgspec.Struct, tag="AuthError", rename="camel", frozen=True, kw_only=True):
    error: str
    base_version: int | None
    auth_update_attempted: bool


class FatalError(msgspec.Struct, tag="FatalError", frozen=True, kw_only=True):
    error: str


class Ping(msgspec.Struct, tag="Ping", frozen=True):
    """Nothing to say; npm needs to hear something within 60 s (3.14)."""


ServerMessage = (
    Transition | TransitionChunk | MutationResponse | ActionResponse | AuthError | FatalError | Ping
)

_DECODER: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_ENCODER = msgspec.json.Encoder()


def decode_client_message(text: str) -> ClientMessage:
    """One text message. Raises: WSMessageInvalidJson, a protocol violation that ends the
    connection.
    """
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise bad_request(
            "WSMessageInvalidJson", f"Received an invalid message: {error}"
        ) from error


def encode_server_message(message: ServerMessage) -> bytes:
    return _ENCODER.encode(message)


class TransitionEncoder:
    """Encodes what many clients are told in a row once; keeps the last text until `clear`."""

    def __init__(self) -> None:
        self._transition: Transition | None = None
        self._text = b""

    def encode(self, transition: Transition) -> bytes:
        if transition != self._transition:
            self._text = encode_server_message(transition)
            self._transition = transition
        return self._text

    def clear(self) -> None:
        self._transition, self._text = None, b""


def add_clocks(transition_text: bytes, *, client_clock_skew_ms: int, server_ts_ns: int) -> bytes:
    """An encoded Transition with what tells the client how long it was on its way. Both or none:
    null would make npm print a warning each time (3.5)."""
    clocks = b',"clientClockSkew":%d,"serverTs":%d}' % (client_clock_skew_ms, server_ts_ns)
    return b"".join((memoryview(transition_text)[:-1], clocks))


class EncodedModification:
    """What all clients are told about one result, encoded once; only the query's id differs.

    `_latest` starts None; it is the text for the id that was asked for last, in general that of all
    clients.
    """

    __slots__ = ("_head", "_latest", "_tail")

    def __init__(self, modification: QueryUpdated | QueryFailed) -> None:
        encoded = _ENCODER.encode(modification)
        id_text = b'"queryId":%d' % modification.query_id
        self._head, _, self._tail = encoded.partition(id_text)
        self._latest: tuple[int, msgspec.Raw] | None = None

    def for_query(self, query_id: int) -> msgspec.Raw:
        if self._latest is None or self._latest[0] != query_id:
            text = b'%b"queryId":%d%b' % (self._head, query_id, self._tail)
            self._latest = (query_id, msgspec.Raw(text))
        return self._latest[1]


def encode_removal(query_id: int) -> msgspec.Raw:
    return msgspec.Raw(_ENCODER.encode(QueryRemoved(query_id=query_id)))


def encode_chunks(text: bytes, chunk_bytes_max: int) -> tuple[bytes, ...]:
    """The texts to send for one encoded Transition: itself, or TransitionChunk messages (3.9).

    Pieces have at most `chunk_bytes_max` bytes of UTF-8 and end at character boundaries.
    """
    if len(text) <= chunk_bytes_max:
        return (text,)
    pieces = _split_characters(text, chunk_bytes_max)
    return tuple(
        encode_server_message(
            TransitionChunk(
                chunk=piece,
                part_number=number,
                total_parts=len(pieces),
                transition_id=str(len(text)),
            )
        )
        for number, piece in enumerate(pieces)
    )


def _split_characters(data: bytes, bytes_max: int) -> list[str]:
    assert bytes_max >= 4, "a piece must hold the longest character"
    pieces = []
    start = 0
    while start < len(data):
        end = min(start + bytes_max, len(data))
        # A byte 10xxxxxx continues a character: step back to its head.
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(data[start:end].decode())
        start = end
    return pieces
