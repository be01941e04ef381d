"""What the kernel is asked to do with a client's connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys

# How much of an answer the kernel may keep beyond what the client's window takes.
UNSENT_BYTES = 64 * 1024
TCP_NOTSENT_LOWAT: int | None = 25 if sys.platform == "linux" else None  # <linux/tcp.h>
RESET = struct.pack("ii", 1, 0)


def keep_little_unsent(writer: asyncio.StreamWriter) -> None:
    """Have ``drain`` wait until all of an answer is on its way, so that the next request begins no earlier.

    The kernel would otherwise take megabytes of answers for a client that reads none, and the web processes would make
    dozens of them at once.
    """
    writer.transport.set_write_buffer_limits(high=0)
    if TCP_NOTSENT_LOWAT is not None:
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, so that the kernel does not try for minutes to send what the client does not take."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
