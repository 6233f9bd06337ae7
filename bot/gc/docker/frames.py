"""The engine's stream of two outputs in one: frames of eight bytes and a payload."""

from collections.abc import AsyncGenerator, AsyncIterable

STDOUT, STDERR = 1, 2

_HEADER = 8


async def frames(stream: AsyncIterable[bytes]) -> AsyncGenerator[tuple[int, bytes], None]:
    """Pieces of output with the stream they belong to; a frame may come in several pieces.

    A stream that breaks off in the middle of a frame just ends: who reads it looks at what the
    process said last, not at how the connection ended.
    """
    header = b""
    kind = left = 0
    async for chunk in stream:
        at = 0
        while at < len(chunk):
            if not left:
                taken = chunk[at : at + _HEADER - len(header)]
                header += taken
                at += len(taken)
                if len(header) == _HEADER:
                    kind, left, header = header[0], int.from_bytes(header[4:]), b""
                continue
            piece = chunk[at : at + left]
            at += len(piece)
            left -= len(piece)
            yield kind, piece
