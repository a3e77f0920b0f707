"""Portuguese-English sentence pairs of TED talks, through TensorFlow Datasets."""

import os

from custom_layers.data.data_error import DataError
from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.tensorflow_datasets_package import WAY_OUT, tensorflow_datasets

DATASET = "ted_hrlr_translate/pt_to_en"


def ted_pairs(
    data_dir: str | os.PathLike[str] | None = None, split: str = "train"
) -> SentencePairs:
    """Return the pairs of one split; TensorFlow Datasets keeps or fetches them.

    Args:
        data_dir: folder of TensorFlow Datasets, one that holds `ted_hrlr_translate` included.
            Default: its own (~/tensorflow_datasets, or $TFDS_DATA_DIR).
        split: "train", "validation" or "test".

    Raises: DataError when TensorFlow Datasets is not installed or cannot get the data.
    Source: Qi et al. 2018, arXiv:1804.06323.
    """
    tfds = tensorflow_datasets("ted_pairs", "ted-pt-en")
    try:
        folder = os.fspath(data_dir) if data_dir is not None else None
        examples = list(tfds.as_numpy(tfds.load(DATASET, split=split, data_dir=folder)))
    except Exception as error:  # TensorFlow Datasets raises many kinds, without a common base
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(
            f"ted_pairs: {DATASET} must be available to TensorFlow Datasets. Received: "
            f"{type(error).__name__}: {reason}. {WAY_OUT}"
        ) from error
    return SentencePairs(
        [example["pt"].decode("utf-8") for example in examples],
        [example["en"].decode("utf-8") for example in examples],
        name="ted-pt-en",
    )
