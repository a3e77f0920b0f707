"""Data to train on: sentence pairs and reviews by name or path, and generated ones."""

from custom_layers.data.data_error import DataError
from custom_layers.data.generated_reviews import generated_reviews
from custom_layers.data.held_out_split import split_pairs
from custom_layers.data.length_buckets import length_buckets
from custom_layers.data.pair_file import read_pair_file
from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.reviews import (
    Reviews,
    leave_out,
    read_imdb,
    read_rt_polarity,
    split_reviews,
)
from custom_layers.data.sentence_pairs import load_sentence_pairs
from custom_layers.data.spanish_english_demo import Translation, demo_pairs, demo_translations
from custom_layers.data.translate_folder import read_translate_folder

__all__ = [
    "DataError",
    "Reviews",
    "SentencePairs",
    "Translation",
    "demo_pairs",
    "demo_translations",
    "generated_reviews",
    "leave_out",
    "length_buckets",
    "load_sentence_pairs",
    "read_imdb",
    "read_pair_file",
    "read_rt_polarity",
    "read_translate_folder",
    "split_pairs",
    "split_reviews",
]
