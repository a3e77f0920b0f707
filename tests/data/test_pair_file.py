"""Pair files: what is written comes back, and every mistake is one clear line."""

import re
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_layers.data import DataError, read_pair_file
from custom_layers.data.pair_file import parse_pairs

GOOD = b"Go.\tVe.\nShe runs.\tElla corre.\n"
sentences = st.text(
    st.characters(exclude_characters="\t\n\r", exclude_categories=("Cs", "Cc")), min_size=1
).filter(lambda text: text == text.strip() and not text.startswith("\ufeff"))


@given(
    pairs=st.lists(st.tuples(sentences, sentences), min_size=1, max_size=20),
    newline=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    extra=st.sampled_from(["", "\tCC-BY 2.0", "\ta\tb"]),
    last_newline=st.booleans(),
    blank_lines=st.booleans(),
)
def test_what_is_written_comes_back(pairs, newline, mark, extra, last_newline, blank_lines):
    separator = newline * (1 + blank_lines)
    text = separator.join(f"{english}\t{other}{extra}" for english, other in pairs)
    content = mark + (text + newline * last_newline).encode()
    read = parse_pairs(content, "generated")
    assert list(zip(read.target, read.source, strict=True)) == pairs


@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(content):
    try:
        read = parse_pairs(content, "noise")
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert len(read.source) == len(read.target) > 0
        assert all(read.source)
        assert all(read.target)


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(path):
    """The message of the error, which must be one line that names function and way out."""
    with pytest.raises(DataError) as caught:
        read_pair_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("read_pair_file: ")
    assert "Received: " in message
    assert message.endswith(".")
    return message


def make_zip(folder, members, name="pairs.zip"):
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def test_first_column_is_the_target(tmp_path):
    pairs = read_pair_file(write(tmp_path, "pairs.tsv", GOOD))
    assert pairs.target == ["Go.", "She runs."]
    assert pairs.source == ["Ve.", "Ella corre."]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\r\n  \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (GOOD + b"\nalone\n", r"line 4: 'alone'"),
        (GOOD + b"Go.\t \n", r"line 3: 'Go.\\t '"),
        (GOOD + b"\tVe.\n", r"line 3"),
        (GOOD + b"Caf\xe9\tCaf\xe9\n", r"byte 0xe9 at offset 33, line 3"),
        (b"\xef\xbb\xbf" + GOOD + b"\xe9", r"byte 0xe9 at offset 33, line 3"),
        (b"\xff\xfeG\x00o\x00", r"byte 0xff at offset 0, line 1"),
    ],
)
def test_bad_content_is_refused(tmp_path, content, said):
    path = write(tmp_path, "pairs.txt", content)
    message = refusal(path)
    assert re.search(said, message), message
    assert str(path) in message
    assert path.read_bytes() == content


def test_missing_file_and_folder_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere.txt")
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["pairs.zip", "pairs.data"])
def test_a_zip_is_known_by_name_or_by_content(tmp_path, name):
    members = {"_about.txt": "long\n" * 99, "spa-eng/spa.txt": GOOD, "image.png": b"1"}
    assert read_pair_file(make_zip(tmp_path, members, name)).source == ["Ve.", "Ella corre."]


def test_a_zip_without_a_pair_file_is_refused(tmp_path):
    members = {"_about.txt": "terms", "image.png": b"1"}
    assert "'_about.txt', 'image.png'" in refusal(make_zip(tmp_path, members))
    assert "no members" in refusal(make_zip(tmp_path, {}))


@pytest.mark.parametrize(
    "member", ["../spa.txt", "a/../../spa.txt", "/spa.txt", "..\\spa.txt", "C:\\spa.txt"]
)
def test_a_member_that_climbs_out_is_refused_and_nothing_unpacked(tmp_path, member):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = make_zip(folder, {"spa.txt": GOOD, member: GOOD})
    assert "stay inside its folder" in refusal(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inner", "pairs.zip"]


def test_broken_zips_are_refused_and_kept(tmp_path):
    whole = make_zip(tmp_path, {"spa.txt": GOOD * 500}).read_bytes()
    middle = 60  # inside the compressed text
    damaged = whole[:middle] + bytes(b ^ 0xFF for b in whole[middle : middle + 40])
    for content in (b"not a zip", whole[:-30], whole[: len(whole) // 2], b"",
                    damaged + whole[middle + 40 :]):  # fmt: skip
        path = write(tmp_path, "broken.zip", content)
        assert "whole, unencrypted and readable" in refusal(path)
        assert path.read_bytes() == content


def test_a_bad_line_inside_a_zip_names_the_member(tmp_path):
    message = refusal(make_zip(tmp_path, {"spa.txt": GOOD + b"alone"}))
    assert "pairs.zip/spa.txt" in message
    assert "line 3" in message
