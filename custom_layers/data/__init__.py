"""Data to train on: sentence pairs by name or path, the generated demo corpus, tasks about time."""

from custom_layers.data.data_error import DataError
from custom_layers.data.held_out_split import split_pairs
from custom_layers.data.length_buckets import length_buckets
from custom_layers.data.pair_file import read_pair_file
from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.sentence_pairs import load_sentence_pairs
from custom_layers.data.spanish_english_demo import Translation, demo_pairs, demo_translations
from custom_layers.data.timing_tasks import (
    TimingTask,
    measured_intervals,
    timed_alarms,
    timed_spikes,
)
from custom_layers.data.translate_folder import read_translate_folder

__all__ = [
    "DataError",
    "SentencePairs",
    "TimingTask",
    "Translation",
    "demo_pairs",
    "demo_translations",
    "length_buckets",
    "load_sentence_pairs",
    "measured_intervals",
    "read_pair_file",
    "read_translate_folder",
    "split_pairs",
    "timed_alarms",
    "timed_spikes",
]
