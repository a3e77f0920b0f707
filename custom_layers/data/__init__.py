"""Data to train on: sentence pairs by name or path, and the generated demo corpus."""

from custom_layers.data.data_error import DataError
from custom_layers.data.drawn_digits import drawn_digits
from custom_layers.data.held_out_split import split_pairs
from custom_layers.data.idx_images import Images, read_images
from custom_layers.data.length_buckets import length_buckets
from custom_layers.data.moving_digits import Films, moving_digits
from custom_layers.data.pair_file import read_pair_file
from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.sentence_pairs import load_sentence_pairs
from custom_layers.data.spanish_english_demo import Translation, demo_pairs, demo_translations
from custom_layers.data.translate_folder import read_translate_folder

__all__ = [
    "DataError",
    "Films",
    "Images",
    "SentencePairs",
    "Translation",
    "demo_pairs",
    "demo_translations",
    "drawn_digits",
    "length_buckets",
    "load_sentence_pairs",
    "moving_digits",
    "read_images",
    "read_pair_file",
    "read_translate_folder",
    "split_pairs",
]
