"""One initializer for many weights: a copy for each, so that no two begin alike."""

from typing import Any

from keras import initializers


def initializer_copy(initializer: Any) -> Any:
    """An initializer of the same settings that draws numbers of its own; a function stays itself."""
    if isinstance(initializer, initializers.Initializer):
        return initializer.clone()
    return initializer
