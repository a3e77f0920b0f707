"""TensorFlow Datasets, imported when it is asked for: it is slow to load and may be missing."""

from typing import Any

from custom_layers.data.data_error import DataError

WAY_OUT = "Use `--data demo`, or `--data PATH` with a pair file."


def tensorflow_datasets(owner: str, data: str) -> Any:
    """Return the package.

    Args:
        owner: the function that asks, for the message.
        data: what it is needed for.

    Raises: DataError when it is not installed.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"{owner}: {data} needs the package tensorflow-datasets. Received: {error}. "
            f"Run `pip install tensorflow-datasets`. {WAY_OUT}"
        ) from error
    return tfds
