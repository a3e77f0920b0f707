"""Folders of translations, read through the real TensorFlow Datasets."""

import sys

import pytest

from custom_layers.data import DataError, load_sentence_pairs, read_translate_folder

ENGLISH = ["Hi.", "A dog runs.", "Naïve, isn't it?"]
PORTUGUESE = ["Olá.", "Um cão corre.", "Ingênuo, não é?"]


def folder_of(tmp_path, **texts):
    """A folder whose files are named LANGUAGE_SPLIT here, LANGUAGE.SPLIT.txt there."""
    folder = tmp_path / "my texts"
    folder.mkdir()
    for name, lines in texts.items():
        content = lines if isinstance(lines, bytes) else "".join(f"{x}\n" for x in lines).encode()
        (folder / f"{name.replace('_', '.')}.txt").write_bytes(content)
    return folder


def refusal(call):
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_english_is_the_target_when_no_languages_are_named(tmp_path):
    folder = folder_of(
        tmp_path, en_train=ENGLISH, pt_train=PORTUGUESE, en_test=["x"], pt_test=["y"]
    )
    for pairs in (read_translate_folder(folder), load_sentence_pairs(f"tfds:{folder}")):
        assert (pairs.source, pairs.target) == (PORTUGUESE, ENGLISH)
    assert pairs.name == f"{folder}/pt-en.train"
    test = read_translate_folder(folder, split="test")
    assert (test.source, test.target) == (["y"], ["x"])
    assert sorted(p.name for p in folder.iterdir()) == [
        *("en.test.txt", "en.train.txt", "pt.test.txt", "pt.train.txt")
    ]


@pytest.mark.parametrize("order", ["en-pt", "pt-en"])
def test_both_orders_can_be_named(tmp_path, order):
    folder = folder_of(tmp_path, en_train=ENGLISH, pt_train=PORTUGUESE)
    text = {"en": ENGLISH, "pt": PORTUGUESE}
    source, target = order.split("-")
    for pairs in (
        read_translate_folder(folder, order),
        load_sentence_pairs(f"tfds:{order}:{folder}"),
    ):
        assert (pairs.source, pairs.target) == (text[source], text[target])


def test_of_many_languages_two_are_named_and_names_may_hold_hyphens(tmp_path):
    texts = {"en_train": ENGLISH, "pt_train": PORTUGUESE, "zh-hans_train": ["一", "二", "三"]}
    folder = folder_of(tmp_path, **texts)
    assert load_sentence_pairs(f"tfds:zh-hans-pt:{folder}").source == ["一", "二", "三"]
    assert load_sentence_pairs(f"tfds:pt-zh-hans:{folder}").target == ["一", "二", "三"]
    message = refusal(lambda: read_translate_folder(folder))
    assert "languages=None for en, pt, zh-hans" in message
    assert "--data tfds:en-zh-hans:PATH" in message


def test_two_languages_without_english_must_be_named(tmp_path):
    folder = folder_of(tmp_path, es_train=ENGLISH, pt_train=PORTUGUESE)
    assert "Say es-pt" in refusal(lambda: load_sentence_pairs(f"tfds:{folder}"))
    assert load_sentence_pairs(f"tfds:pt-es:{folder}").target == ENGLISH


def test_windows_lines_a_byte_order_mark_and_empty_pairs(tmp_path):
    folder = folder_of(
        tmp_path,
        en_train="\ufeffHi.\r\n\r\nNo end".encode(),
        pt_train="Olá.\n \nSem fim\n".encode(),
    )
    pairs = read_translate_folder(folder)
    assert (pairs.source, pairs.target) == (["Olá.", "Sem fim"], ["Hi.", "No end"])


@pytest.mark.parametrize("languages", ["pt-fr", "pt", "pt-pt", "-", "en_pt"])
def test_languages_that_are_not_there_are_named(tmp_path, languages):
    folder = folder_of(tmp_path, en_train=ENGLISH, pt_train=PORTUGUESE)
    message = refusal(lambda: read_translate_folder(folder, languages))
    assert f"languages={languages!r} for en, pt in {str(folder)!r}" in message


BAD = {
    "another number of lines": (
        {"en_train": ENGLISH, "pt_train": PORTUGUESE[:2]},
        "the same number of lines.*pt.train.txt with 2 and en.train.txt with 3",
    ),
    "one language": ({"en_train": ENGLISH}, "must have two languages.*in en alone"),
    "the split first": (
        {"train_en": ENGLISH, "train_pt": PORTUGUESE},
        "must hold the split 'train'.*with en, pt. Name the files LANGUAGE.SPLIT.txt",
    ),
    "nothing": ({}, "must hold the split 'train'.*with no file"),
    "another file": (
        {"en_train": ENGLISH, "pt_train": PORTUGUESE, "readme": b"notes"},
        "nothing else.*with 'readme.txt'. Move it away",
    ),
    "not UTF-8": ({"en_train": b"caf\xe9\n", "pt_train": ["x"]}, "UTF-8.*en.train.txt"),
    "an empty side": (
        {"en_train": ["a", "", "c"], "pt_train": ["x", "y", "z"]},
        "empty in both languages or in none.*en.train.txt, line 2",
    ),
    "no pair": ({"en_train": ["", ""], "pt_train": ["", ""]}, "at least one pair"),
    "empty files": ({"en_train": b"", "pt_train": b""}, "at least one pair|must be able to read"),
    "a line separator": (
        {"en_train": ["a", "b"], "pt_train": ["x\u2028y", "z"]},
        r"another kind of line break.*pt.train.txt', line 1, U\+2028",
    ),
    "a line separator at an end": (
        {"en_train": ["a", "b"], "pt_train": ["x", "y\x0b"]},
        r"line break.*line 2, U\+000B",
    ),
    "another split that does not match": (
        {"en_train": ["a"], "pt_train": ["x"], "en_test": ["b"], "pt_test": ["y", "z"]},
        "TensorFlow Datasets must be able to read.*split test do not match",
    ),
}


@pytest.mark.parametrize(("texts", "rule"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_one_clear_line(tmp_path, texts, rule):
    folder = folder_of(tmp_path, **texts)
    with pytest.raises(DataError, match=rule) as caught:
        load_sentence_pairs(f"tfds:{folder}")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("read_translate_folder: ")
    assert str(folder) in str(caught.value)


def test_a_folder_that_is_none_and_one_without_the_prefix(tmp_path):
    missing = refusal(lambda: load_sentence_pairs(f"tfds:{tmp_path}/none"))
    assert "existing folder" in missing
    assert "which is missing" in missing
    (tmp_path / "pairs.txt").write_text("a\tb\n")
    assert "which is a file" in refusal(lambda: load_sentence_pairs(f"tfds:{tmp_path}/pairs.txt"))
    assert "followed by a folder" in refusal(lambda: load_sentence_pairs("tfds:"))
    assert "followed by a folder" in refusal(lambda: load_sentence_pairs("tfds:pt-en: "))
    assert f"write tfds:{tmp_path}" in refusal(lambda: load_sentence_pairs(tmp_path))
    assert "C:/texts" in refusal(lambda: load_sentence_pairs("tfds:C:/texts"))


def test_without_tensorflow_datasets_the_ways_out_are_named(tmp_path, monkeypatch):
    folder = folder_of(tmp_path, en_train=ENGLISH, pt_train=PORTUGUESE)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    message = refusal(lambda: read_translate_folder(folder))
    assert "pip install tensorflow-datasets" in message
    assert "--data demo" in message
