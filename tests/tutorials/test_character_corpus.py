"""The text of pages about characters: the real one where it is, cut into parts."""

from custom_layers.data import generated_play
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE
from tutorials import character_corpus


def test_the_text_is_shakespeare_s_where_it_is_and_generated_where_not(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.delenv(DATA_FOLDER_VARIABLE, raising=False)
    generated = character_corpus.load(5000)
    assert "".join(generated.parts) == generated_play(5000)
    (line,) = capsys.readouterr().out.splitlines()
    assert DATA_FOLDER_VARIABLE in line
    assert "generated" in line
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / character_corpus.FILE).write_text("To be,\n" * 40, encoding="utf-8")
    monkeypatch.setenv(DATA_FOLDER_VARIABLE, str(tmp_path))
    real = character_corpus.load(210)
    assert "".join(real.parts) == "To be,\n" * 30
    assert [len(numbers) for numbers in real.numbers] == [190, 10, 10]
    assert real.vocabulary.decode(real.numbers[2]) == real.parts.held_out
    assert capsys.readouterr().out == ""
