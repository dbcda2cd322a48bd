"""Compressed request bodies, with a limit on what they may grow to (deploy-protocol 1.10).

Each decoder yields bounded pieces, so a decompression bomb costs no more than the limit.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import brotli  # type: ignore[import-untyped]
import zstandard

from fenchel.errors import FenchelError, bad_request

PIECE_BYTES = 1 << 20
# zstd frames may ask for any window; this is the largest that decoders must support (RFC 8878,
# 3.1.1.1.2).
_ZSTD_WINDOW_BYTES_MAX = 8 << 20
_ZSTD_INPUT_BYTES = 256


def decode_body(body: bytes, encoding: str, *, bytes_max: int) -> bytes:
    """`body` without its content encoding. Raises: BadJsonBody if it is damaged or grows over
    `bytes_max`.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    decode = _DECODERS.get(name)
    if decode is None:
        raise bad_request(
            "BadJsonBody",
            f"Content-Encoding {encoding!r} is not supported. Use br, gzip, deflate or zstd.",
        )
    try:
        return _collect(decode(body), bytes_max)
    except (brotli.error, zlib.error, zstandard.ZstdError, EOFError) as error:
        raise bad_request("BadJsonBody", f"The request body is not valid {name} data.") from error


def _collect(pieces: Iterator[bytes], bytes_max: int) -> bytes:
    collected: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > bytes_max:
            raise _too_large(bytes_max)
        collected.append(piece)
    return b"".join(collected)


def _too_large(bytes_max: int) -> FenchelError:
    return bad_request(
        "BadJsonBody", f"The request body is larger than {bytes_max} bytes when decompressed."
    )


def _decode_brotli(body: bytes) -> Iterator[bytes]:
    decompressor = brotli.Decompressor()
    yield decompressor.process(body, output_buffer_limit=PIECE_BYTES)
    while not decompressor.is_finished():
        piece = decompressor.process(b"", output_buffer_limit=PIECE_BYTES)
        if not piece and decompressor.can_accept_more_data():
            raise EOFError
        yield piece


def _decode_zlib(body: bytes, window_bits: int) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(window_bits)
    rest = body
    while not decompressor.eof:
        piece = decompressor.decompress(rest, PIECE_BYTES)
        rest = decompressor.unconsumed_tail
        if not piece and not rest and not decompressor.eof:
            raise EOFError
        yield piece


def _decode_gzip(body: bytes) -> Iterator[bytes]:
    return _decode_zlib(body, 16 + zlib.MAX_WBITS)


def _decode_deflate(body: bytes) -> Iterator[bytes]:
    """RFC 9110 8.4.1.2 says zlib format; some clients send the bare stream, whose first byte
    differs.
    """
    is_zlib_format = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _decode_zlib(body, zlib.MAX_WBITS if is_zlib_format else -zlib.MAX_WBITS)


def _decode_zstd(body: bytes) -> Iterator[bytes]:
    """Fed in small pieces: a block of 128 KiB may come from 4 bytes, and output has no limit."""
    frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).decompressobj()
    for start in range(0, len(body), _ZSTD_INPUT_BYTES):
        yield frame.decompress(body[start : start + _ZSTD_INPUT_BYTES])
        if frame.eof:
            return
    raise EOFError


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "br": _decode_brotli,
    "gzip": _decode_gzip,
    "deflate": _decode_deflate,
    "zstd": _decode_zstd,
}
