"""Convert the Opus of Coqui's sample databases into an Ogg stream that sound libraries read.

Coqui frames the packets itself, in big-endian numbers: bytes of 16-bit samples in all (4), sample
rate (4), channels (1), bytes a sample (1); then the length (2) of each packet, and the packet.
The Ogg stream follows RFC 7845 (Opus in Ogg) and RFC 3533 (Ogg).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from stt_model.base import DataError

SUFFIX = ".packets"
"""The suffix of such a clip's name."""

_HEADER = struct.Struct(">IIBB")
_TICKS_A_MS = 48
"""Ogg's clock for Opus runs at 48 kHz, whatever the rate."""
_RATES = (8000, 12000, 16000, 24000, 48000)
_FIRST, _LAST = 2, 4


def to_ogg(content: bytes) -> bytes:
    """Return an Ogg Opus file with the same packets; DataError if it is not in Coqui's framing."""
    if len(content) < _HEADER.size:
        raise DataError(f"expected Opus packets, found {len(content)} bytes")
    size, rate, channels, width = _HEADER.unpack_from(content)
    if rate not in _RATES or channels not in (1, 2) or width != 2:
        raise DataError(
            f"expected 16-bit Opus of 1 or 2 channels, found rate {rate}, {channels} channels and"
            f" {width} bytes a sample"
        )
    packets = list(_packets(content))
    head = struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, 0, rate, 0, 0)
    tags = struct.pack("<8sI0sI", b"OpusTags", 0, b"", 0)
    pages = [_page(head, 0, 0, _FIRST), _page(tags, 0, 1, 0)]
    # The last packet is padded with silence, which the final position excludes.
    end = size // (width * channels) * 48_000 // rate
    position = 0
    for number, packet in enumerate(packets, start=1):
        position += _ticks(packet)
        is_last = number == len(packets)
        pages.append(_page(packet, min(position, end), number + 1, _LAST if is_last else 0))
    return b"".join(pages)


def _packets(content: bytes) -> Iterator[bytes]:
    at = _HEADER.size
    while at < len(content):
        length = int.from_bytes(content[at : at + 2], "big")
        packet = content[at + 2 : at + 2 + length]
        if not length or len(packet) < length:
            raise DataError(f"expected Opus packets, found them cut off at byte {at}")
        yield packet
        at += 2 + length


def _ticks(packet: bytes) -> int:
    """Return the duration of a packet from its first bytes (RFC 6716, section 3.1)."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        milliseconds: float = (10, 20, 40, 60)[configuration % 4]
    elif configuration < 16:
        milliseconds = (10, 20)[configuration % 2]
    else:
        milliseconds = (2.5, 5, 10, 20)[configuration % 4]
    frames = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 1)[code]
    return int(frames * milliseconds * _TICKS_A_MS)


def _page(packet: bytes, position: int, number: int, flags: int) -> bytes:
    """Return an Ogg page with one packet of at most 64 KiB."""
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    if len(lacing) > 255:
        raise DataError(f"expected Opus packets, found one of {len(packet)} bytes")
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, position, 1, number, 0)
    page = head + bytes([len(lacing)]) + lacing + packet
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _table() -> list[int]:
    table = []
    for value in range(256):
        rest = value << 24
        for _ in range(8):
            rest = (rest << 1) ^ (0x04C11DB7 if rest & 0x80000000 else 0)
        table.append(rest & 0xFFFFFFFF)
    return table


_CHECKSUMS = _table()


def _checksum(page: bytes) -> int:
    """Return Ogg's CRC-32, which starts at the highest bit with the initial value 0."""
    rest = 0
    for byte in page:
        rest = ((rest << 8) & 0xFFFFFFFF) ^ _CHECKSUMS[(rest >> 24) ^ byte]
    return rest
