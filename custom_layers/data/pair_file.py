"""Reading a file of sentence pairs: tab-separated text, or a zip that holds one.

A line is `English<TAB>Spanish`, as the ManyThings exports have it; further columns (newer exports
carry an attribution) are ignored. Read as UTF-8, with or without a byte order mark, LF or CRLF.
"""

import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from custom_layers.data.data_error import DataError
from custom_layers.data.parallel_corpus import SentencePairs

PAIR_FILE_SUFFIXES = frozenset({".txt", ".tsv"})
BYTE_ORDER_MARK = "\ufeff"


def read_pair_file(path: str | os.PathLike[str]) -> SentencePairs:
    """Read the pairs of a tab-separated file or of a zip that holds one.

    Args:
        path: a file with English in the first column (`target`), the other language (`source`)
            in the second.

    Raises: DataError when there is no such file, it is a folder, empty, not UTF-8, has a line of
        one column, or is a zip that is broken, unsafe or without a pair file.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(
            f"read_pair_file: `path` must be an existing file. Received: path={str(path)!r}, which "
            "does not exist. Check the spelling, or use the generated corpus, demo."
        )
    if path.is_dir():
        raise DataError(
            f"read_pair_file: `path` must be a file. Received: path={str(path)!r}, which is a "
            "folder. Name the tab-separated file or the zip inside it."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"read_pair_file: `path` must be readable. Received: path={str(path)!r} ({error}). "
            "Check its permissions."
        ) from error
    if path.suffix.lower() == ".zip" or content[:4] == b"PK\x03\x04":
        member, content = pair_file_in_zip(path)
        return parse_pairs(content, f"{path}/{member}")
    return parse_pairs(content, str(path))


def parse_pairs(content: bytes, name: str) -> SentencePairs:
    """Return the pairs of a tab-separated text.

    Args:
        content: bytes of the text, UTF-8.
        name: where they come from, for messages.
    """
    try:
        text = content.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"read_pair_file: a pair file must be UTF-8. Received: {name!r}, byte "
            f"0x{content[error.start]:02x} at offset {error.start}, line {number}. "
            "Save it as UTF-8."
        ) from None
    source, target = [], []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() also cuts at U+2028
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        english, tab, rest = line.partition("\t")
        other = rest.partition("\t")[0].strip()
        english = english.strip()
        if not tab or not english or not other:
            shown = line if len(line) <= 60 else line[:57] + "..."
            raise DataError(
                "read_pair_file: a line must be English, a tab, and the other language. Received: "
                f"{name!r}, line {number}: {shown!r}. Put a tab and both sentences there."
            )
        target.append(english)
        source.append(other)
    if not source:
        raise DataError(
            f"read_pair_file: a pair file must hold at least one pair. Received: {name!r}, which "
            "is empty. Write one pair a line: English, a tab, the other language."
        )
    return SentencePairs(source, target, name=name)


def pair_file_in_zip(path: str | os.PathLike[str]) -> tuple[str, bytes]:
    """Return name and content of the pair file in a zip; nothing is unpacked to disk.

    Names that start with an underscore (`_about.txt`) or a dot are notes. Of several candidates the
    largest is taken.
    """
    shown = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if _climbs_out(name):
                    raise DataError(
                        "read_pair_file: members of a zip must stay inside its folder. Received: "
                        f"{shown!r}, member {name!r}. Nothing was unpacked; get a clean archive."
                    )
            candidates = [info for info in archive.infolist() if _is_pair_file(info.filename)]
            if not candidates:
                raise DataError(
                    "read_pair_file: a zip must hold a .txt or .tsv pair file. Received: "
                    f"{shown!r} with {_shortened(archive.namelist())}. Add one, or name a text."
                )
            chosen = max(candidates, key=lambda info: info.file_size)
            return chosen.filename, archive.read(chosen)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"read_pair_file: a zip must be whole, unencrypted and readable. Received: {shown!r} "
            f"({error}). Download or pack it again."
        ) from error


def _climbs_out(name: str) -> bool:
    posix = PurePosixPath(name.replace("\\", "/"))
    return posix.is_absolute() or ".." in posix.parts or name[1:2] == ":"


def _is_pair_file(name: str) -> bool:
    path = PurePosixPath(name)
    is_note = path.name.startswith(("_", ".")) or "__MACOSX" in path.parts
    return path.suffix.lower() in PAIR_FILE_SUFFIXES and not is_note


def _shortened(names: list[str]) -> str:
    if not names:
        return "no members"
    return ", ".join(map(repr, names[:4])) + (" ..." if len(names) > 4 else "")
