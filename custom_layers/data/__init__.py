"""Data to train on: sentence pairs, texts, series, pictures and films, read or generated."""

from custom_layers.data.character_vocabulary import CharacterVocabulary
from custom_layers.data.data_error import DataError
from custom_layers.data.drawn_digits import drawn_digits
from custom_layers.data.generated_play import generated_play
from custom_layers.data.generated_reviews import generated_reviews
from custom_layers.data.generated_series import generated_series
from custom_layers.data.held_out_split import split_pairs
from custom_layers.data.idx_images import Images, read_images
from custom_layers.data.length_buckets import length_buckets
from custom_layers.data.memory_tasks import AddingProblem, CopyingProblem, MemoryTask
from custom_layers.data.moving_digits import Films, moving_digits
from custom_layers.data.number_words import number_in_words
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
from custom_layers.data.text_file import read_text
from custom_layers.data.text_streams import TextParts, TextStreams, split_text
from custom_layers.data.time_series import Series, read_series
from custom_layers.data.time_windows import Parts, Windows, split_in_time, windows
from custom_layers.data.timing_tasks import (
    TimingTask,
    measured_intervals,
    timed_alarms,
    timed_spikes,
)
from custom_layers.data.translate_folder import read_translate_folder
from custom_layers.data.written_dates import written_dates

__all__ = [
    "AddingProblem",
    "CharacterVocabulary",
    "CopyingProblem",
    "DataError",
    "Films",
    "Images",
    "MemoryTask",
    "Parts",
    "Reviews",
    "SentencePairs",
    "Series",
    "TextParts",
    "TextStreams",
    "TimingTask",
    "Translation",
    "Windows",
    "demo_pairs",
    "demo_translations",
    "drawn_digits",
    "generated_play",
    "generated_reviews",
    "generated_series",
    "leave_out",
    "length_buckets",
    "load_sentence_pairs",
    "measured_intervals",
    "moving_digits",
    "number_in_words",
    "read_images",
    "read_imdb",
    "read_pair_file",
    "read_rt_polarity",
    "read_series",
    "read_text",
    "read_translate_folder",
    "split_in_time",
    "split_pairs",
    "split_reviews",
    "split_text",
    "timed_alarms",
    "timed_spikes",
    "windows",
    "written_dates",
]
