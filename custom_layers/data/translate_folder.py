"""A folder of translations on this machine, in the layout of TensorFlow Datasets.

A file is LANGUAGE.SPLIT.txt, a sentence a line, the lines of a split in the same order in every
language: en.train.txt, pt.train.txt, en.test.txt, pt.test.txt. `tfds.folder_dataset.TranslateFolder`
reads it; what it would misread or explain in its own terms is refused here first.
"""

import os
from pathlib import Path

from custom_layers.data.data_error import DataError
from custom_layers.data.pair_file import BYTE_ORDER_MARK
from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.tensorflow_datasets_package import tensorflow_datasets

OWNER = "read_translate_folder"
ENGLISH = "en"
LAYOUT = "Name the files LANGUAGE.SPLIT.txt, such as en.train.txt and pt.train.txt."


def read_translate_folder(
    path: str | os.PathLike[str], languages: str | None = None, split: str = "train"
) -> SentencePairs:
    """Read one split of a folder in two languages.

    Args:
        path: the folder.
        languages: "SOURCE-TARGET", such as "pt-en" or "en-pt", names as in the files. Default: the
            two languages of the split, English as target; others must be named.
        split: such as "train".

    Returns: the pairs in the order of the lines; lines that are empty in both languages are left
    out.

    Raises: DataError when there is no such folder, it holds other files, `languages` or `split` is
    not in it, or two files differ in their number of lines, are not UTF-8 or have an empty line
    beside a sentence.
    """
    path = Path(path).expanduser()
    source, target = _languages(path, languages, split)
    counts = {name: _line_count(path / f"{name}.{split}.txt") for name in (source, target)}
    if counts[source] != counts[target]:
        raise DataError(
            f"{OWNER}: the files of a split must have the same number of lines. Received: "
            f"{str(path)!r}, {source}.{split}.txt with {counts[source]} and {target}.{split}.txt "
            f"with {counts[target]}. Align them line by line."
        )
    tfds = tensorflow_datasets(OWNER, "a folder of translations")
    try:
        builder = tfds.folder_dataset.TranslateFolder(os.fspath(path))
        examples = list(tfds.as_numpy(builder.as_dataset(split=split)))
    except Exception as error:  # TensorFlow Datasets raises many kinds, without a common base
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(
            f"{OWNER}: TensorFlow Datasets must be able to read the folder. Received: "
            f"{str(path)!r}, {type(error).__name__}: {reason}. Mend or move what it names."
        ) from error
    pairs = SentencePairs([], [], name=f"{path}/{source}-{target}.{split}")
    for number, example in enumerate(examples, start=1):
        sentences = {
            name: example[name].decode("utf-8").removeprefix(BYTE_ORDER_MARK).strip()
            for name in (source, target)
        }
        if not any(sentences.values()):
            continue
        if not all(sentences.values()):
            empty = source if not sentences[source] else target
            raise DataError(
                f"{OWNER}: a line must be empty in both languages or in none. Received: "
                f"{str(path)!r}, {empty}.{split}.txt, line {number}, which is empty. "
                "Write the translation there, or empty the line in both."
            )
        pairs.source.append(sentences[source])
        pairs.target.append(sentences[target])
    if not pairs.source:
        raise DataError(
            f"{OWNER}: a split must hold at least one pair. Received: {str(path)!r}, split "
            f"{split!r}, which is empty. Write one sentence a line."
        )
    return pairs


def _languages(path: Path, named: str | None, split: str) -> tuple[str, str]:
    """Source and target, as named or as the files of the split have them."""
    found = _languages_of_splits(path)
    here = found.get(split, [])
    if not here:
        shown = ", ".join(sorted(found)) or "no file"
        raise DataError(
            f"{OWNER}: the folder must hold the split {split!r}. Received: {str(path)!r} with "
            f"{shown}. {LAYOUT}"
        )
    if named is not None:
        parts = named.split("-")
        for cut in range(1, len(parts)):  # a name of a language may hold a hyphen: zh-hans-en
            pair = "-".join(parts[:cut]), "-".join(parts[cut:])
            if set(pair) <= set(here) and pair[0] != pair[1]:
                return pair
    elif len(here) == 2 and ENGLISH in here:
        return next(name for name in here if name != ENGLISH), ENGLISH
    elif len(here) == 1:
        raise DataError(
            f"{OWNER}: a split must have two languages. Received: {str(path)!r}, split {split!r}, "
            f"in {here[0]} alone. {LAYOUT}"
        )
    raise DataError(
        f"{OWNER}: `languages` must name two of the folder's, SOURCE-TARGET. Received: "
        f"languages={named!r} for {', '.join(here)} in {str(path)!r}. "
        f"Say {here[0]}-{here[-1]}, as in `--data tfds:{here[0]}-{here[-1]}:PATH`."
    )


def _languages_of_splits(path: Path) -> dict[str, list[str]]:
    """Names of the languages, sorted, for each split of the folder."""
    if not path.is_dir():
        what = "a file" if path.exists() else "missing"
        raise DataError(
            f"{OWNER}: `path` must be an existing folder. Received: path={str(path)!r}, which is "
            f"{what}. Check the spelling; a file of pairs is read with `--data PATH`."
        )
    splits: dict[str, list[str]] = {}
    for file in sorted(path.iterdir()):
        parts = file.name.split(".")
        if len(parts) != 3 or not all(parts) or parts[2] != "txt" or not file.is_file():
            raise DataError(
                f"{OWNER}: the folder must hold files LANGUAGE.SPLIT.txt and nothing else. "
                f"Received: {str(path)!r} with {file.name!r}. Move it away, or rename it."
            )
        splits.setdefault(parts[1], []).append(parts[0])
    return splits


def _line_count(file: Path) -> int:
    """Number of lines, once TensorFlow Datasets is sure to cut the text at the same places."""
    try:
        text = file.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{OWNER}: a file must be readable and UTF-8. Received: {str(file)!r} ({error}). "
            "Check its permissions, or save it as UTF-8."
        ) from None
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, start=1):
        if line and line.splitlines() != [line]:
            odd = next(character for character in line if character.splitlines() == [""])
            raise DataError(
                f"{OWNER}: a line must not hold another kind of line break. Received: "
                f"{str(file)!r}, line {number}, U+{ord(odd):04X}. Put a space there."
            )
    return len(lines)
