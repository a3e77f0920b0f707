"""Reviews: what is packed comes back, and every mistake is one clear line."""

import io
import lzma
import re
import tarfile

import numpy as np
import pytest

from custom_layers.data import DataError, leave_out, read_imdb, read_rt_polarity, split_reviews
from custom_layers.data.reviews import Reviews

FILES = {
    "aclImdb/test/neg/0_2.txt": b"Dull.",
    "aclImdb/test/pos/0_10.txt": b"Great!",
    "aclImdb/train/neg/10_1.txt": b"Awful.<br /><br />Truly.",
    "aclImdb/train/neg/9_4.txt": b"Not good.<br />",
    "aclImdb/train/pos/0_7.txt": b"Caf\xc3\xa9 noir, fine.",
}


def pack(folder, files, name="imdb.tar.xz", mode="w:xz"):
    path = folder / name
    with tarfile.open(path, mode) as archive:
        for member, content in files.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def refusal(call, owner):
    """The message of the error, which must be one line that names function and way out."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{owner}: ")
    assert "Received: " in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar.xz", "w:xz"), ("a.tar.gz", "w:gz"), ("a.tar", "w")]
)
@pytest.mark.parametrize("backwards", [False, True])
def test_what_is_packed_comes_back_in_the_order_of_its_numbers(tmp_path, name, mode, backwards):
    order = sorted(FILES, reverse=backwards)
    unlabelled = {"aclImdb/train/unsup/0_0.txt": b"\0", "aclImdb/README": b"\0"}
    path = pack(tmp_path, {name: FILES[name] for name in order} | unlabelled, name, mode)
    train, test = read_imdb(path)
    assert train.texts == ["Not good.", "Awful.\nTruly.", "Café noir, fine."]
    np.testing.assert_array_equal(train.labels, [0, 0, 1])
    np.testing.assert_array_equal(train.ratings, [4, 1, 7])
    assert test.texts == ["Dull.", "Great!"]
    np.testing.assert_array_equal(test.labels, [0, 1])
    np.testing.assert_array_equal(test.ratings, [2, 10])
    assert (train.name, test.name) == ("imdb train", "imdb test")


def test_a_part_is_that_of_the_smaller_numbers(tmp_path):
    path = pack(tmp_path, FILES)
    assert read_imdb(path, per_folder=10)[0].texts == ["Not good.", "Café noir, fine."]
    assert "train/neg" in refusal(lambda: read_imdb(path, per_folder=5), "read_imdb")
    with pytest.raises(ValueError, match="per_folder=0"):
        read_imdb(path, per_folder=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"aclImdb/test/pos/0_10.txt": None}, "without a review in test/pos"),
        (
            {"aclImdb/train/neg/9_4.txt": b"No\0t"},
            "member 'aclImdb/train/neg/9_4.txt', at offset 2",
        ),
        ({"aclImdb/train/neg/9_4.txt": b"Caf\xe9"}, "must be utf-8.*byte 0xe9 at offset 3"),
        ({"aclImdb/train/neg/9_4.txt": b" <br />\n"}, "must not be empty"),
        ({"aclImdb/train/neg/11_7.txt": b"Fine."}, "1 to 4 stars in neg.*neg/11_7.txt"),
        ({"aclImdb/train/pos/11_5.txt": b"Fine."}, "7 to 10 in pos.*pos/11_5.txt"),
    ],
    ids=["missing-folder", "nul", "not-utf-8", "empty", "too-many-stars", "too-few-stars"],
)
def test_bad_content_is_refused(tmp_path, change, said):
    files = {name: content for name, content in (FILES | change).items() if content is not None}
    path = pack(tmp_path, files)
    message = refusal(lambda: read_imdb(path), "read_imdb")
    assert str(path) in message
    assert re.search(said, message), message


def broken(folder, kind):
    whole = pack(folder, FILES | {"aclImdb/train/pos/1_7.txt": bytes(range(1, 128)) * 4000})
    content = whole.read_bytes()
    return {
        "a text": b"Review,label\nfine,1\n" * 99,
        "empty": b"",
        "half": content[: len(content) // 2],
        "xz of a text": lzma.compress(b"no tar " * 999),
        "noise": bytes(np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)),
    }[kind]


@pytest.mark.parametrize("kind", ["a text", "empty", "half", "xz of a text", "noise"])
def test_what_is_no_whole_tar_is_refused(tmp_path, kind):
    path = tmp_path / "imdb"
    path.write_bytes(broken(tmp_path, kind))
    message = refusal(lambda: read_imdb(path), "read_imdb")
    assert "must be a whole tar" in message
    assert repr(str(path)) in message


def test_missing_files_and_folders_are_refused(tmp_path):
    assert "is missing" in refusal(lambda: read_imdb(tmp_path / "no.tar"), "read_imdb")
    assert "is a folder" in refusal(lambda: read_imdb(tmp_path), "read_imdb")
    said = refusal(lambda: read_rt_polarity(tmp_path, seed=0), "read_rt_polarity")
    assert "rt-polarity.neg" in said


def sentences(folder, neg, pos):
    (folder / "rt-polarity.neg").write_bytes(neg)
    (folder / "rt-polarity.pos").write_bytes(pos)
    return folder


def test_sentences_are_split_by_the_seed_alone_and_none_is_lost(tmp_path):
    neg = "".join(f"sentence {n} is dull . \n" for n in range(60))
    pos = "".join(f"sentence {n} is caf\xe9\x85 fine . \r\n" for n in range(40))
    sentences(tmp_path, neg.encode("latin-1"), pos.encode("latin-1"))
    refused = refusal(lambda: read_rt_polarity(tmp_path, seed=0), "read_rt_polarity")
    assert 'encoding="latin-1"' in refused
    parts = read_rt_polarity(tmp_path, seed=4, encoding="latin-1")
    assert [len(part.texts) for part in parts] == [80, 10, 10]
    everything = sorted(text for part in parts for text in part.texts)
    assert everything == sorted(line.strip() for line in (neg + pos).split("\n") if line)
    for part in parts:
        for text, label, stars in zip(part.texts, part.labels, part.ratings, strict=True):
            assert (label == 1) == ("fine" in text)
            assert stars == 0
        assert 0 < part.labels.mean() < 1
    again, other = (read_rt_polarity(tmp_path, seed=s, encoding="latin-1") for s in (4, 5))
    assert [part.texts for part in again] == [part.texts for part in parts]
    assert other[2].texts != parts[2].texts


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b" \n\n", "is empty"), (b"a\0", "NUL")]
)
def test_bad_sentences_are_refused(tmp_path, content, said):
    sentences(tmp_path, b"dull .\n", content)
    message = refusal(lambda: read_rt_polarity(tmp_path, seed=0), "read_rt_polarity")
    assert said in message
    assert "rt-polarity.pos" in message


def reviews(texts):
    count = len(texts)
    return Reviews(list(texts), np.arange(count) % 2, np.arange(count), "made")


def test_equal_texts_stay_together_and_keep_their_labels_and_ratings():
    texts = [f"text {n % 12}" for n in range(40)]
    given = reviews(texts)
    parts = split_reviews(given, (0.5, 0.25, 0.25), seed=1)
    assert [len(set(part.texts)) for part in parts] == [6, 3, 3]
    assert sorted(n for part in parts for n in part.ratings) == list(range(40))
    for part in parts:
        assert list(part.ratings) == sorted(part.ratings)
        assert part.texts == [texts[n] for n in part.ratings]
        np.testing.assert_array_equal(part.labels, part.ratings % 2)


def test_shares_that_cannot_be_are_refused():
    for shares in ((0.5, 0.6), (1.0, 0.0), ()):
        with pytest.raises(ValueError, match="must be positive and sum to 1"):
            split_reviews(reviews("ab"), shares, seed=0)
    with pytest.raises(ValueError, match=r"every part must have a review\. Received: 2 different"):
        split_reviews(reviews("aab"), (0.8, 0.1, 0.1), seed=0)


def test_leave_out_takes_every_copy_and_no_other():
    kept = leave_out(reviews(["a", "b", "a", "ab"]), {"a"})
    assert kept.texts == ["b", "ab"]
    np.testing.assert_array_equal(kept.ratings, [1, 3])
