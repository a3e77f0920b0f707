"""Data to train on: sentence pairs by name or path, and the generated demo corpus."""

from custom_layers.data.data_error import DataError
from custom_layers.data.held_out_split import split_pairs
from custom_layers.data.length_buckets import length_buckets
from custom_layers.data.number_words import number_in_words
from custom_layers.data.pair_file import read_pair_file
from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.sentence_pairs import load_sentence_pairs
from custom_layers.data.spanish_english_demo import Translation, demo_pairs, demo_translations
from custom_layers.data.translate_folder import read_translate_folder
from custom_layers.data.written_dates import written_dates

__all__ = [
    "DataError",
    "SentencePairs",
    "Translation",
    "demo_pairs",
    "demo_translations",
    "length_buckets",
    "load_sentence_pairs",
    "number_in_words",
    "read_pair_file",
    "read_translate_folder",
    "split_pairs",
    "written_dates",
]
