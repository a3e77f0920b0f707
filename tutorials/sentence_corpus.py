"""The Spanish and English sentences of a page: real ones where they are, else generated ones."""

from custom_layers.data import SentencePairs, demo_pairs, load_sentence_pairs
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE, local_file


def corpus() -> tuple[SentencePairs, str]:
    """Real sentence pairs where they lie on this machine, else generated ones; and what they are."""
    if local_file("spa-eng/spa.txt") is not None:
        return load_sentence_pairs("spa-eng"), "spa-eng"
    print(
        f"No spa-eng/spa.txt in the folder that {DATA_FOLDER_VARIABLE} names: sentences are generated."
    )
    return demo_pairs(), "generated sentences"
