"""Sentence pairs by name and by path, and the real file where it is present."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from custom_layers.data import DataError, demo_pairs, load_sentence_pairs
from custom_layers.data import sentence_pairs as module
from tests.data.test_download import send, server

TEXT = b"Go.\tVe.\nRun!\tCorre.\n"
REAL = os.environ.get("CUSTOM_LAYERS_DATA")
needs_real_data = pytest.mark.skipif(
    not (REAL and (Path(REAL) / "spa-eng" / "spa.txt").is_file()),
    reason="CUSTOM_LAYERS_DATA names no folder with spa-eng/spa.txt",
)


@pytest.fixture
def small_spa_eng(monkeypatch):
    """Let a text of two pairs stand for the tutorial's file."""
    monkeypatch.setattr(module, "SPA_ENG_SIZE", len(TEXT))
    monkeypatch.setattr(module, "SPA_ENG_SHA256", hashlib.sha256(TEXT).hexdigest())
    monkeypatch.delenv("CUSTOM_LAYERS_DATA", raising=False)


def archive_of(text, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spa-eng/_about.txt", "terms")
        archive.writestr("spa-eng/spa.txt", text)
    return path.read_bytes()


def test_demo_and_path(tmp_path):
    assert load_sentence_pairs("demo") == demo_pairs()
    path = tmp_path / "pairs.txt"
    path.write_bytes(TEXT)
    for data in (path, str(path)):
        assert load_sentence_pairs(data).source == ["Ve.", "Corre."]


def test_download_is_checked_cached_and_not_repeated(tmp_path, small_spa_eng, monkeypatch):
    body = archive_of(TEXT, tmp_path / "made.zip")
    cache = tmp_path / "keras" / "datasets"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with server(lambda handler, _: send(handler, body)) as (url, attempts):
        monkeypatch.setattr(module, "SPA_ENG_URL", url)
        first, second = load_sentence_pairs("spa-eng"), load_sentence_pairs("spa-eng")
        load_sentence_pairs("spa-eng", cache_dir=tmp_path / "other")
    assert first == second
    assert first.target == ["Go.", "Run!"]
    assert len(attempts) == 2
    assert [p.name for p in cache.iterdir()] == ["spa-eng.zip"]
    assert (tmp_path / "other" / "spa-eng.zip").read_bytes() == body


def test_a_wrong_hash_names_both_and_keeps_no_download(tmp_path, small_spa_eng, monkeypatch):
    body = archive_of(TEXT + b"x\ty\n", tmp_path / "made.zip")
    with server(lambda handler, _: send(handler, body)) as (url, _):
        monkeypatch.setattr(module, "SPA_ENG_URL", url)
        with pytest.raises(DataError) as caught:
            load_sentence_pairs("spa-eng", cache_dir=tmp_path / "cache")
    assert module.SPA_ENG_SHA256 in str(caught.value)
    assert hashlib.sha256(TEXT + b"x\ty\n").hexdigest() in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_wrong_file_of_the_users_is_named_and_kept(tmp_path, small_spa_eng, monkeypatch):
    body = archive_of(b"a\tb\n", tmp_path / "spa-eng.zip")
    with pytest.raises(DataError, match=r"spa-eng\.zip/spa-eng/spa\.txt.*Move it away"):
        load_sentence_pairs("spa-eng", cache_dir=tmp_path)
    assert (tmp_path / "spa-eng.zip").read_bytes() == body
    (tmp_path / "spa-eng").mkdir()
    (tmp_path / "spa-eng" / "spa.txt").write_bytes(b"a\tb\n")
    monkeypatch.setenv("CUSTOM_LAYERS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="sha256"):
        load_sentence_pairs("spa-eng")


def test_the_local_copy_comes_first(tmp_path, small_spa_eng, monkeypatch):
    (tmp_path / "spa-eng").mkdir()
    (tmp_path / "spa-eng" / "spa.txt").write_bytes(TEXT)
    monkeypatch.setenv("CUSTOM_LAYERS_DATA", str(tmp_path))
    monkeypatch.setattr(module, "SPA_ENG_URL", "http://127.0.0.1:9/none")
    assert load_sentence_pairs("spa-eng", cache_dir=tmp_path).source == ["Ve.", "Corre."]


def test_without_a_network_the_ways_out_are_named(tmp_path, small_spa_eng, monkeypatch):
    monkeypatch.setattr(module, "SPA_ENG_URL", "http://127.0.0.1:9/spa-eng.zip")
    monkeypatch.setattr("custom_layers.data.download.time.sleep", lambda _: None)
    with pytest.raises(DataError) as caught:
        load_sentence_pairs("spa-eng", cache_dir=tmp_path)
    message = str(caught.value)
    assert all(way in message for way in ("--data demo", "--data PATH", "CUSTOM_LAYERS_DATA"))
    assert "\n" not in message


@pytest.mark.parametrize("name", ["spa", "", "Demo"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(DataError, match=f"demo, spa-eng, ted-pt-en or the path.*data='{name}'"):
        load_sentence_pairs(name)


def test_a_path_that_does_not_exist_is_called_a_path():
    with pytest.raises(DataError, match="does not exist"):
        load_sentence_pairs("folder/pairs.txt")


def test_data_of_another_type_is_refused():
    with pytest.raises(TypeError, match="`data` must be a name or a path"):
        load_sentence_pairs(3)


def test_ted_names_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(DataError, match=r"tensorflow-datasets.*--data demo"):
        load_sentence_pairs("ted-pt-en")


def test_ted_reads_what_tensorflow_datasets_gives(monkeypatch):
    import types

    rows = [{"pt": "olá".encode(), "en": b"hello"}]

    def load(name, split, data_dir):
        if data_dir:
            raise RuntimeError("no such\nfolder")
        return rows

    fake = types.SimpleNamespace(load=load, as_numpy=iter)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    pairs = load_sentence_pairs("ted-pt-en")
    assert (pairs.source, pairs.target) == (["olá"], ["hello"])
    with pytest.raises(DataError, match=r"RuntimeError: no such\. Use `--data demo`"):
        load_sentence_pairs("ted-pt-en", cache_dir="somewhere")


def test_reading_and_generating_load_no_tensorflow_datasets():
    code = (
        "import sys; from custom_layers.data import demo_pairs; demo_pairs(10); "
        "sys.exit('tensorflow_datasets' in sys.modules or 'tensorflow_text' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_real_data
def test_the_real_file_and_its_zip_are_equal():
    folder = Path(REAL) / "spa-eng"
    pairs = load_sentence_pairs("spa-eng")
    assert len(pairs.source) == len(pairs.target) == 118_964
    assert pairs.target[0] == "Go."
    assert pairs.source[0] == "Ve."
    zipped = load_sentence_pairs(folder / "spa-eng.zip")
    assert (zipped.source, zipped.target) == (pairs.source, pairs.target)
    assert load_sentence_pairs(folder / "spa.txt").source == pairs.source
