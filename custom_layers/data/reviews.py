"""Film reviews with a label each: whole reviews of IMDB, and sentences of reviews.

    imdb          25,000 reviews to train on and 25,000 to test on, of other films; rated 1 to 4 of 10
                  stars (negative) or 7 to 10 (positive), and none between
    rt-polarity   10,662 sentences, half of them positive, without ratings or a split of their own

Sources: Maas et al. 2011, "Learning Word Vectors for Sentiment Analysis", ACL; Pang and Lee 2005,
"Seeing Stars", ACL, arXiv:cs/0506075.
"""

import lzma
import os
import random
import re
import tarfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from custom_layers.data.data_error import DataError
from custom_layers.data.pair_file import BYTE_ORDER_MARK

IMDB, RT_POLARITY = "read_imdb", "read_rt_polarity"
PARTS, LABELS = ("train", "test"), ("neg", "pos")  # a label is its place: 0 is negative
STARS = {"neg": range(1, 5), "pos": range(7, 11)}
MEMBER = re.compile(r"(?:^|/)(train|test)/(neg|pos)/(\d+)_(\d+)\.txt$")
LAYOUT = "aclImdb/<train|test>/<pos|neg>/<number>_<stars>.txt"
BROKEN = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)


class Reviews(NamedTuple):
    """Texts and what their writers thought.

    Attributes:
        texts: one review each, lines parted by a newline.
        labels: int64 (reviews,), 1 is positive and 0 negative.
        ratings: int64 (reviews,), stars of 10; 0 where nobody gave any.
        name: where they come from, for messages and reports.
    """

    texts: list[str]
    labels: np.ndarray
    ratings: np.ndarray
    name: str = "reviews"

    def at(self, places: Any) -> "Reviews":
        """The reviews at these places, (n,) integers, in their order."""
        places = np.asarray(places, dtype="int64")
        texts = [self.texts[place] for place in places]
        return Reviews(texts, self.labels[places], self.ratings[places], self.name)


def read_imdb(
    path: str | os.PathLike[str], *, per_folder: int | None = None
) -> tuple[Reviews, Reviews]:
    """Read the labelled reviews of the Large Movie Review Dataset out of its archive.

    Nothing is unpacked to disk. `<br />` becomes a newline. The order is that of the numbers in the
    files' names, negative before positive, whatever the archive's.

    Args:
        path: a tar, compressed or not, of files aclImdb/<train|test>/<pos|neg>/<number>_<stars>.txt;
            others in it, such as the unlabelled reviews of aclImdb_v1.tar.gz, are passed over.
        per_folder: int >= 1, take the reviews with a smaller number alone: a quick look.

    Returns: the reviews to train on, and those to test on.

    Raises: DataError when there is no such file, it is no tar or a broken one, one of the four folders
        is missing in it, or a review is empty, not UTF-8, holds NUL bytes, or has stars that do not go
        with its folder.
    """
    path = _existing_file(path, IMDB)
    if per_folder is not None and per_folder < 1:
        raise ValueError(
            f"{IMDB}: `per_folder` must be at least 1. Received: per_folder={per_folder}. "
            "Leave it out to read all reviews."
        )
    found: dict[tuple[str, str], list[tuple[int, int, str]]]
    found = {(part, label): [] for part in PARTS for label in LABELS}
    for name, content in _members(path, per_folder):
        part, label, number, stars = _parsed(name)
        if stars not in STARS[label]:
            raise DataError(
                f"{IMDB}: a review must have 1 to 4 stars in neg and 7 to 10 in pos. Received: "
                f"{str(path)!r}, member {name!r}. Get a clean archive."
            )
        text = _text_of(content, IMDB, f"{str(path)!r}, member {name!r}", "utf-8")
        text = text.replace("<br /><br />", "\n").replace("<br />", "\n").strip()
        if not text:
            raise DataError(
                f"{IMDB}: a review must not be empty. Received: {str(path)!r}, member {name!r}. "
                "Get a clean archive."
            )
        found[part, label].append((number, stars, text))
    if missing := ["/".join(folder) for folder, reviews in found.items() if not reviews]:
        raise DataError(
            f"{IMDB}: the archive must hold files {LAYOUT}. Received: {str(path)!r} without a review "
            f"in {', '.join(missing)}. Pack the whole folder aclImdb."
        )
    train, test = (_half(found, part) for part in PARTS)
    return train, test


def read_rt_polarity(
    folder: str | os.PathLike[str],
    *,
    seed: int,
    shares: Sequence[float] = (0.8, 0.1, 0.1),
    encoding: str = "utf-8",
) -> list[Reviews]:
    """Read the sentence polarity data set, and split it.

    Args:
        folder: that of rt-polarity.neg and rt-polarity.pos, a sentence a line.
        seed, shares: of `split_reviews`; by default 80% to train on, 10% to choose by, 10% to test on.
        encoding: of the files. Some copies are "latin-1".

    Returns: as many sets of reviews as shares, without ratings.

    Raises: DataError when a file is missing, empty, not in this encoding, or holds NUL bytes.
    """
    texts: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(LABELS):
        path = _existing_file(Path(folder) / f"rt-polarity.{name}", RT_POLARITY)
        text = _text_of(path.read_bytes(), RT_POLARITY, repr(str(path)), encoding)
        lines = [line.strip() for line in text.split("\n")]  # splitlines() also cuts at U+0085
        sentences = [line for line in lines if line]
        if not sentences:
            raise DataError(
                f"{RT_POLARITY}: a file must hold at least one sentence. Received: {str(path)!r}, "
                "which is empty. Write one sentence a line."
            )
        texts += sentences
        labels += [label] * len(sentences)
    zeros = np.zeros(len(texts), dtype="int64")
    return split_reviews(
        Reviews(texts, np.asarray(labels, dtype="int64"), zeros, "rt-polarity"), shares, seed
    )


def split_reviews(reviews: Reviews, shares: Sequence[float], seed: int) -> list[Reviews]:
    """Part reviews at random; equal texts stay together, so that no part repeats another's.

    Args:
        reviews: at least as many different texts as shares.
        shares: of the different texts, positive, that sum to 1.
        seed: the same seed, the same parts.

    Returns: a set for each share, each in the order that the reviews were in.

    Raises: ValueError when the shares are not positive or do not sum to 1, or a part would be empty.
    """
    if min(shares, default=0) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(
            "split_reviews: `shares` must be positive and sum to 1. Received: "
            f"shares={tuple(shares)}. Say (0.8, 0.1, 0.1)."
        )
    texts = list(dict.fromkeys(reviews.texts))
    random.Random(seed).shuffle(texts)
    ends = [round(end * len(texts)) for end in np.cumsum(shares)]
    if 0 in np.diff([0, *ends]):
        raise ValueError(
            "split_reviews: every part must have a review. Received: "
            f"{len(texts)} different texts, shares={tuple(shares)}. Bring more, or split in fewer parts."
        )
    part_of = dict(zip(texts, np.searchsorted(ends, np.arange(len(texts)), "right"), strict=True))
    parts = np.array([part_of[text] for text in reviews.texts])
    return [reviews.at(np.flatnonzero(parts == part)) for part in range(len(shares))]


def leave_out(reviews: Reviews, texts: Collection[str]) -> Reviews:
    """The reviews without those that are, word for word, one of these texts."""
    unwanted = frozenset(texts)
    return reviews.at([i for i, text in enumerate(reviews.texts) if text not in unwanted])


def _half(found: dict[tuple[str, str], list[tuple[int, int, str]]], part: str) -> Reviews:
    """Training or test set: the negative reviews, then the positive ones, each by number."""
    rows = [(label, *row) for label, name in enumerate(LABELS) for row in sorted(found[part, name])]
    labels, _, stars, texts = zip(*rows, strict=True)
    return Reviews(
        list(texts), np.asarray(labels, "int64"), np.asarray(stars, "int64"), f"imdb {part}"
    )


def _parsed(name: str) -> tuple[str, str, int, int]:
    match = MEMBER.search(name)
    assert match is not None  # as `_members` gives them
    part, label, number, stars = match.groups()
    return part, label, int(number), int(stars)


def _members(path: Path, per_folder: int | None) -> Iterator[tuple[str, bytes]]:
    """Name and content of each review in the archive, with a bar of what is read of the file."""
    bar: dict[str, Any] = {"total": path.stat().st_size, "desc": path.name, "leave": False}
    try:
        with (
            path.open("rb") as file,
            tqdm.wrapattr(file, "read", **bar) as watched,
            tarfile.open(fileobj=watched, mode="r|*") as archive,
        ):
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps all of them
                match = MEMBER.search(member.name)
                if not match or not member.isfile():
                    continue
                if per_folder is not None and int(match.group(3)) >= per_folder:
                    continue
                content = archive.extractfile(member)
                yield member.name, content.read() if content else b""
    except BROKEN as error:
        raise DataError(
            f"{IMDB}: `path` must be a whole tar, such as aclImdb_v1.tar.gz. Received: "
            f"path={str(path)!r} ({_in_one_line(error)}). Fetch or pack it again."
        ) from error


def _existing_file(path: str | os.PathLike[str], owner: str) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        what = "a folder" if path.is_dir() else "missing"
        raise DataError(
            f"{owner}: `path` must be an existing file. Received: {str(path)!r}, which is {what}. "
            "Check the spelling."
        )
    return path


def _text_of(content: bytes, owner: str, where: str, encoding: str) -> str:
    if b"\0" in content:
        raise DataError(
            f"{owner}: a text must hold no NUL bytes. Received: {where}, at offset "
            f"{content.index(0)}. It is no text, or a broken copy: get a clean one."
        )
    try:
        return content.decode(encoding).removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{owner}: a text must be {encoding}. Received: {where}, byte "
            f"0x{content[error.start]:02x} at offset {error.start}. Save it as {encoding}"
            + (', or pass encoding="latin-1".' if owner == RT_POLARITY else ".")
        ) from None


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
