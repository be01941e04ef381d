"""Small PNGs: a screenshot has few colours that matter, so a palette of 256 holds it in a third of the bytes."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
type Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def packed(png: bytes) -> bytes:
    """The same picture with at most 256 colours, those that are most frequent; others take the nearest."""
    pixels = decoded(png)
    height, width, _ = pixels.shape
    codes = (pixels.astype(np.int64) * np.array([65536, 256, 1])).sum(axis=2)
    found, inverse, amounts = np.unique(codes, return_inverse=True, return_counts=True)
    kept = found[np.argsort(-amounts)[:COLOURS]]
    palette, wanted = _channels(kept), _channels(found)
    nearest = np.concatenate(
        [
            ((part[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1)
            for part in np.array_split(wanted, max(1, len(wanted) // 1000))
        ]
    )
    indices = nearest.astype(np.uint8)[inverse].reshape(height, width)
    rows = np.hstack([np.zeros((height, 1), np.uint8), indices])
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [
        (b"IHDR", head),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def _channels(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack([codes // 65536, codes // 256 % 256, codes % 256], axis=1)


def decoded(png: bytes) -> Pixels:
    """The pixels of an 8-bit RGB or RGBA picture, as ``(height, width, 3)``."""
    if not png.startswith(SIGNATURE):
        raise ValueError("This is no PNG.")
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    if depth != 8 or kind not in (2, 6):
        raise ValueError(f"A picture of {depth} bits and kind {kind} is not one of Chromium's.")
    channels = 3 if kind == 2 else 4
    at, data = 8, b""
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + width * channels)
    lines = np.zeros((height, width, channels), np.uint8)
    above = np.zeros((width, channels), np.uint8)
    for row in range(height):
        above = lines[row] = _unfiltered(int(raw[row, 0]), raw[row, 1:].reshape(width, channels), above)
    return lines[:, :, :3]


def _paeth(left: int, up: int, corner: int) -> int:
    expected = left + up - corner
    return min((left, up, corner), key=lambda value: abs(expected - value))


def _unfiltered(kind: int, line: Pixels, above: Pixels) -> Pixels:
    """Undo one line's filter (PNG specification, section 9)."""
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line, axis=0, dtype=np.uint8)
    if kind == 2:
        return line + above
    width, channels = line.shape
    given, up = line.tolist(), above.tolist()
    done = [[0] * channels for _ in range(width)]
    for x in range(width):
        for c in range(channels):
            left = done[x - 1][c] if x else 0
            if kind == 3:
                guess = (left + up[x][c]) // 2
            else:
                corner = up[x - 1][c] if x else 0
                guess = _paeth(left, up[x][c], corner)
            done[x][c] = (given[x][c] + guess) & 255
    return np.array(done, np.uint8)
