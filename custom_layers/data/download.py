"""Downloading a file: whole or not at all."""

import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from custom_layers.data.data_error import DataError

TRIES = 3
CHUNK = 1 << 16  # bytes


def download(
    url: str,
    path: str | os.PathLike[str],
    *,
    check: Callable[[Path], object] | None = None,
    way_out: str = "Fetch the file by hand and name it.",
    timeout: float = 30.0,
    pause: float = 1.0,
) -> Path:
    """Download a file under a temporary name, check it, and only then give it its own name.

    Args:
        url: address of the file.
        path: where to put it; its folder is made if need be.
        check: called with the temporary file; what it raises removes that file and is passed on.
        way_out: what the user can do without a network, for the message.
        timeout: seconds without an answer after which a try counts as failed.
        pause: seconds before the second try; twice as many before the third.

    Raises: DataError when the address refuses the file, or three tries have failed.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise DataError(
            f"download: the folder {str(path.parent)!r} must be writable ({error}). "
            "Name another one in KERAS_HOME."
        ) from error
    partial = Path(name)
    try:
        _fetch_with_retries(url, partial, way_out, timeout, pause)
        if check:
            check(partial)
        os.replace(partial, path)
    finally:  # also after Ctrl-C: no half file stays
        partial.unlink(missing_ok=True)
    return path


def _fetch_with_retries(
    url: str, partial: Path, way_out: str, timeout: float, pause: float
) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            return _fetch(url, partial, timeout)
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or attempt == TRIES:
                reason = " ".join(str(getattr(error, "reason", error) or error).split())
                code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
                raise DataError(
                    f"download: {url} must be reachable. Received: {code}{reason} after "
                    f"{attempt} of {TRIES} tries. {way_out}"
                ) from error
            time.sleep(pause * attempt)
    return None


def _fetch(url: str, partial: Path, timeout: float) -> None:
    with urllib.request.urlopen(url, timeout=timeout) as answer, partial.open("wb") as file:
        announced = answer.headers.get("Content-Length")
        total = int(announced) if announced and announced.isdigit() else None
        name = url.rsplit("/", 1)[-1]
        with tqdm(total=total, unit="B", unit_scale=True, desc=name, leave=False) as bar:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if total is not None and file.tell() != total:
            raise OSError(f"{file.tell()} of {total} bytes came")
