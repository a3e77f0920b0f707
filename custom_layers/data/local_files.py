"""Files of real data that lie on this machine already, in the folder that CUSTOM_LAYERS_DATA names."""

import os
from pathlib import Path

DATA_FOLDER_VARIABLE = "CUSTOM_LAYERS_DATA"


def local_file(relative: str) -> Path | None:
    """The file `relative` in that folder, such as "imdb/aclImdb_labelled.tar.xz"; None without one."""
    folder = os.environ.get(DATA_FOLDER_VARIABLE)
    path = Path(folder).expanduser() / relative if folder else None
    return path if path is not None and path.is_file() else None
