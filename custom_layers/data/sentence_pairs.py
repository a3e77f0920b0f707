"""Sentence pairs by name or by path: the one way in for tutorials and command lines."""

import hashlib
import os
from pathlib import Path
from types import MappingProxyType

from custom_layers.data.data_error import DataError
from custom_layers.data.download import download
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE, local_file
from custom_layers.data.pair_file import pair_file_in_zip, parse_pairs, read_pair_file
from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.spanish_english_demo import demo_pairs
from custom_layers.data.ted_talks import ted_pairs
from custom_layers.data.translate_folder import read_translate_folder

SPA_ENG_URL = "https://storage.googleapis.com/download.tensorflow.org/data/spa-eng.zip"
SPA_ENG_SIZE = 8_042_772  # bytes of spa.txt; archives of it differ, the text does not
SPA_ENG_SHA256 = "6ec60e212f812ee3430f7568ea6f33b6fb080e32193c5952e8da0ee8ba45574c"
WAYS_OUT = MappingProxyType(
    {
        "spa-eng": "Without a network use `--data demo`, `--data PATH` with a pair file, or let "
        f"{DATA_FOLDER_VARIABLE} name a folder that holds spa-eng/spa.txt."
    }
)
NAMES = ("demo", "spa-eng", "ted-pt-en")
FOLDER_PREFIX = "tfds:"


def load_sentence_pairs(
    data: str | os.PathLike[str], *, cache_dir: str | os.PathLike[str] | None = None
) -> SentencePairs:
    """Return sentence pairs; their `target` is English unless `data` says another language.

    Args:
        data: "demo" (generated Spanish-English), "spa-eng" (Tatoeba's Spanish-English pairs, taken
            from the folder that the environment variable CUSTOM_LAYERS_DATA names or downloaded),
            "ted-pt-en" (Portuguese-English TED talks, through TensorFlow Datasets),
            "tfds:FOLDER" or "tfds:SOURCE-TARGET:FOLDER" (the split "train" of a folder that
            `read_translate_folder` reads, such as "tfds:en-pt:my/texts"), or the path of a
            tab-separated file, English first, or of a zip of one.
        cache_dir: folder for downloads. Default: `datasets` in $KERAS_HOME or in ~/.keras.

    Raises: DataError, one line, when the data cannot be found, fetched or read.
    """
    if not isinstance(data, str | os.PathLike):
        raise TypeError(
            "load_sentence_pairs: `data` must be a name or a path. Received: "
            f"data={data!r}. Use one of {', '.join(NAMES)} or the path of a pair file."
        )
    if data == "demo":
        return demo_pairs()
    if data == "spa-eng":
        return _spa_eng(cache_dir)
    if data == "ted-pt-en":
        return ted_pairs(cache_dir)
    if isinstance(data, str) and data.startswith(FOLDER_PREFIX):
        return _translate_folder(data.removeprefix(FOLDER_PREFIX))
    path = Path(data).expanduser()
    if isinstance(data, str) and _looks_like_a_name(data) and (not data or not path.exists()):
        raise DataError(
            f"load_sentence_pairs: `data` must be one of {', '.join(NAMES)} or the path of a pair "
            f"file. Received: data={data!r}. Check the spelling, or use demo."
        )
    if path.is_dir():
        raise DataError(
            "load_sentence_pairs: `data` must be a name or a file. Received: "
            f"data={str(data)!r}, which is a folder. Name the pair file or the zip inside it, or "
            f"write {FOLDER_PREFIX}{path} when it holds files such as en.train.txt."
        )
    return read_pair_file(path)


def _translate_folder(data: str) -> SentencePairs:
    """Read FOLDER or SOURCE-TARGET:FOLDER; the colon of a Windows drive belongs to the folder."""
    languages, colon, folder = data.partition(":")
    if not colon or "-" not in languages or "/" in languages or "\\" in languages:
        languages, folder = "", data
    if not folder.strip():
        raise DataError(
            f"load_sentence_pairs: {FOLDER_PREFIX} must be followed by a folder. Received: "
            f"data={FOLDER_PREFIX + data!r}. Write {FOLDER_PREFIX}PATH or {FOLDER_PREFIX}pt-en:PATH."
        )
    return read_translate_folder(folder, languages or None)


def _looks_like_a_name(data: str) -> bool:
    return not data.strip() or (not Path(data).suffix and len(Path(data).parts) == 1)


def _spa_eng(cache_dir: str | os.PathLike[str] | None) -> SentencePairs:
    if local := local_file("spa-eng/spa.txt"):
        content = local.read_bytes()
        check_spa_eng(content, str(local))
        return parse_pairs(content, "spa-eng")
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    archive = Path(cache_dir or Path(home) / "datasets").expanduser() / "spa-eng.zip"
    if not archive.is_file():
        download(SPA_ENG_URL, archive, check=_check_archive, way_out=WAYS_OUT["spa-eng"])
    return parse_pairs(_check_archive(archive), "spa-eng")


def _check_archive(archive: Path) -> bytes:
    member, content = pair_file_in_zip(archive)
    check_spa_eng(content, f"{archive}/{member}")
    return content


def check_spa_eng(content: bytes, name: str) -> None:
    """Compare size and hash of spa.txt with those of the tutorial's file; nothing is deleted.

    Raises: DataError when they differ.
    """
    received = hashlib.sha256(content).hexdigest()
    if (len(content), received) != (SPA_ENG_SIZE, SPA_ENG_SHA256):
        raise DataError(
            f"load_sentence_pairs: spa.txt must have {SPA_ENG_SIZE} bytes and sha256 "
            f"{SPA_ENG_SHA256}. Received: {name!r}, {len(content)} bytes, sha256 {received}. "
            "Move it away to fetch it again, or read it as it is with `--data PATH`."
        )
