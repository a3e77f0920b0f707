"""Texts as streams: put together again they are the text, and every mistake is one clear line."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_layers.data import (
    CharacterVocabulary,
    DataError,
    TextStreams,
    generated_play,
    read_text,
    split_text,
)

few = settings(deadline=None, max_examples=50)


@st.composite
def streams(draw):
    batch, steps = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    length = draw(st.integers(batch * steps + 1, 120))
    return TextStreams(np.arange(length) * 3 + 1, batch, steps)


@few
@given(streams())
def test_a_row_s_windows_are_the_text_and_targets_are_the_next_character(streams):
    text, length = streams.numbers, len(streams.numbers)
    windows = [streams.window(n) for n in range(streams.windows)]
    x, y = (np.concatenate(parts, axis=1) for parts in zip(*windows, strict=True))
    assert x.shape == y.shape == (streams.batch, streams.windows * streams.steps)
    stretch = (length - 1) // streams.batch
    assert stretch - streams.steps < x.shape[1] <= stretch  # no whole window is left out
    for row in range(streams.batch):
        begin = row * stretch
        np.testing.assert_array_equal(x[row], text[begin : begin + x.shape[1]])
        np.testing.assert_array_equal(y[row], text[begin + 1 : begin + 1 + x.shape[1]])
    assert len(np.unique(x)) == x.size, "no character is read twice in a pass"


@settings(deadline=None, max_examples=15)
@given(streams(), st.integers(0, 5))
def test_endless_streams_go_round_the_text(streams, first):
    text, length = streams.numbers.tolist(), len(streams.numbers)
    count = length // streams.steps + 2
    read = list(itertools.islice(streams.endless(first).as_numpy_iterator(), count))
    stretch = (length - 1) // streams.batch
    for row in range(streams.batch):
        begin = row * stretch + first * streams.steps
        round_and_round = [text[(begin + k) % length] for k in range(count * streams.steps + 1)]
        assert np.concatenate([x[row] for x, _ in read]).tolist() == round_and_round[:-1]
        assert np.concatenate([y[row] for _, y in read]).tolist() == round_and_round[1:]


def test_a_pass_has_the_same_batches_as_the_windows_one_by_one():
    streams = TextStreams(np.random.default_rng(0).integers(0, 9, 200), batch=3, steps=8)
    batches = list(streams.one_pass())
    assert len(batches) == len(streams.one_pass()) == streams.windows == 8
    for n, (x, y) in enumerate(batches):
        assert x.shape == y.shape == (3, 8)
        np.testing.assert_array_equal((x, y), streams.window(n))
    assert streams.one_pass().element_spec[0].shape.as_list() == [3, 8], "XLA asks for fixed sizes"


@few
@given(st.text(min_size=60, max_size=200), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_parts_do_not_overlap_and_together_are_the_text(text, validation, held_out):
    parts = split_text(text, validation=validation, held_out=held_out)
    assert "".join(parts) == text
    assert len(parts.validation) == round(validation * len(text))
    assert len(parts.held_out) == round(held_out * len(text))


@few
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_what_is_encoded_is_decoded(text):
    vocabulary = CharacterVocabulary(text)
    numbers = vocabulary.encode(text)
    assert vocabulary.decode(numbers) == text
    assert numbers.dtype == np.int32
    assert set(numbers.tolist()) == set(range(len(vocabulary)))
    assert list(vocabulary.characters) == sorted(vocabulary.characters)


def test_a_file_comes_back_as_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffÉn\r\ntwo\n".encode())
    assert read_text(path) == "Én\ntwo\n"


BAD_FILES = {
    "NUL bytes": (b"ab\0c", r"no NUL bytes.*byte 0x00 at offset 2"),
    "UTF-16": ("ab".encode("utf-16"), r"no NUL bytes"),
    "Latin-1": (b"ab\nc\xe9d", r"must be UTF-8.*byte 0xe9 at offset 4, line 2"),
    "nothing": (b"", r"0 bytes, which is empty"),
    "white space": (b" \n\r\n", r"of 4 bytes, which is empty"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_text_is_named_in_one_line(name, tmp_path):
    content, expected = BAD_FILES[name]
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert re.search(expected, refusal("read_text", lambda: read_text(path)))


def test_a_file_that_is_not_there_or_a_folder(tmp_path):
    assert "does not exist" in refusal("read_text", lambda: read_text(tmp_path / "no.txt"))
    assert "a folder" in refusal("read_text", lambda: read_text(tmp_path))


@few
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "a.txt"
    path.write_bytes(content)
    try:
        assert read_text(path).strip()
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("owner", "call", "expected"),
    [
        ("TextStreams", lambda: TextStreams(np.zeros(24), 4, 6), r"= 25 of them.*shape=\(24,\)"),
        ("TextStreams", lambda: TextStreams(np.zeros((5, 5)), 2, 2), r"shape=\(5, 5\)"),
        ("split_text", lambda: split_text("a" * 9, validation=0.0), r"validation=0.0"),
        ("split_text", lambda: split_text("a" * 9, validation=0.6, held_out=0.4), r"less than 1"),
        ("split_text", lambda: split_text("abc"), r"a text of 3 characters"),
        ("CharacterVocabulary", lambda: CharacterVocabulary(""), r"at least one character"),
        (
            "CharacterVocabulary",
            lambda: CharacterVocabulary("ab").encode("bac"),
            r"'c' at position 2",
        ),
        ("CharacterVocabulary", lambda: CharacterVocabulary("ab").decode([-1]), r"0 to 1.*: -1"),
        ("generated_play", lambda: generated_play(0), r"characters=0"),
    ],
)
def test_mistakes_are_named_in_one_line(owner, call, expected):
    assert re.search(expected, refusal(owner, call))


@pytest.mark.parametrize(("batch", "steps"), [(0, 3), (2, 0), (1.5, 3)])
def test_batch_and_steps_are_positive_integers(batch, steps):
    with pytest.raises(
        ValueError, match=r"TextStreams: `(batch|steps)` must be a positive integer"
    ):
        TextStreams(np.zeros(50), batch, steps)


def refusal(owner, call):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{owner}: ")
    assert "Received: " in message
    assert message.endswith(".")
    return message


def test_the_generated_play_is_a_play():
    play = generated_play(20_000, seed=3)
    assert len(play) == 20_000
    assert play == generated_play(20_000, seed=3) != generated_play(20_000, seed=4)
    assert generated_play(500, seed=3) == play[:500]
    speeches = play.split("\n\n")[:-1]
    speakers = [speech.split("\n")[0] for speech in speeches]
    assert all(re.fullmatch(r"[A-Z ]+:", speaker) for speaker in speakers)
    assert all(a != b for a, b in itertools.pairwise(speakers))
    lines = [line for speech in speeches for line in speech.split("\n")[1:]]
    assert all(0 < len(line) <= 44 for line in lines)
    assert all(re.search(r"[.!?]$", speech) for speech in speeches)


def test_verbs_of_the_play_agree_with_their_subjects():
    text = " ".join(generated_play(100_000).split())
    singular = re.findall(r"\b(?:this|that) (?:\w+ )??(\w+) (do|does) not\b", text)
    plural = re.findall(r"\b(?:these|those) (?:\w+ )??(\w+) (do|does) not\b", text)
    assert len(singular) > 20 < len(plural)
    assert {auxiliary for _, auxiliary in singular} == {"does"}
    assert {auxiliary for _, auxiliary in plural} == {"do"}
