"""Reading a plain text: UTF-8, with or without a byte order mark, LF or CRLF."""

import os
from pathlib import Path

from custom_layers.data.data_error import DataError

BYTE_ORDER_MARK = "\ufeff"


def read_text(path: str | os.PathLike[str]) -> str:
    r"""Read a text file; its line ends come out as "\n".

    Args:
        path: a file of UTF-8 text.

    Raises: DataError, one line, when there is no such file, it is a folder, cannot be read, holds NUL
        bytes (as a binary file or UTF-16 does), is not UTF-8, or has nothing but white space in it.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(
            f"read_text: `path` must be a file. Received: path={str(path)!r}, which is a folder. "
            "Name a text file inside it."
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"read_text: `path` must be an existing file. Received: path={str(path)!r}, which does "
            "not exist. Check the spelling, or use the generated text, generated_play()."
        ) from None
    except OSError as error:
        raise DataError(
            f"read_text: `path` must be readable. Received: path={str(path)!r} ({error.strerror}). "
            "Check its permissions."
        ) from error
    return parse_text(content, str(path))


def parse_text(content: bytes, name: str) -> str:
    """The text of these bytes.

    Args:
        content: UTF-8.
        name: where they come from, for messages.
    """
    nul = content.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"read_text: a text must hold no NUL bytes. Received: {name!r}, byte 0x00 at offset "
            f"{nul}. It is binary, or UTF-16: save it as UTF-8."
        )
    try:
        text = content.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"read_text: a text must be UTF-8. Received: {name!r}, byte "
            f"0x{content[error.start]:02x} at offset {error.start}, line {number}. Save it as UTF-8."
        ) from None
    if not text.strip():
        raise DataError(
            f"read_text: a text must hold a character that is no white space. Received: {name!r} of "
            f"{len(content)} bytes, which is empty. Name another file."
        )
    return text.replace("\r\n", "\n")
