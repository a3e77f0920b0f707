"""Downloads against a server of our own on this machine: whole files or none."""

import http.server
import socket
import threading
from contextlib import contextmanager

import pytest

from custom_layers.data import DataError
from custom_layers.data import download as download_module
from custom_layers.data.download import download

BODY = bytes(range(256)) * 1000


@contextmanager
def server(answer):
    """Serve with `answer(handler, attempt)`; yields the address and the list of attempts."""
    attempts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            attempts.append(self.path)
            answer(self, len(attempts))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/file.bin", attempts
        finally:
            running.shutdown()
            thread.join()


def send(handler, body, length=None, status=200):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def refusal(url, path, **options):
    with pytest.raises(DataError) as caught:
        download(url, path, pause=0, timeout=2, way_out="Use demo.", **options)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []  # no half file
    return str(caught.value)


def test_a_file_arrives_whole_in_a_new_folder(tmp_path):
    path = tmp_path / "new" / "file.bin"
    with server(lambda handler, _: send(handler, BODY)) as (url, attempts):
        assert download(url, path) == path
    assert path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]
    assert len(attempts) == 1


def test_a_failed_check_leaves_nothing_of_the_download_and_all_of_the_old_file(tmp_path):
    def check(partial):
        assert partial.read_bytes() == BODY
        raise DataError("wrong hash: expected 1, received 2.")

    with server(lambda handler, _: send(handler, BODY)) as (url, attempts):
        with pytest.raises(DataError, match="wrong hash"):
            download(url, tmp_path / "file.bin", check=check)
        (tmp_path / "file.bin").write_bytes(b"mine")
        with pytest.raises(DataError, match="wrong hash"):
            download(url, tmp_path / "file.bin", check=check)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"mine"]
    assert len(attempts) == 2


def test_a_refused_address_is_tried_once(tmp_path):
    with server(lambda handler, _: send(handler, b"", status=404)) as (url, attempts):
        message = refusal(url, tmp_path / "file.bin")
    assert "404" in message
    assert url in message
    assert message.endswith("Use demo.")
    assert len(attempts) == 1


def test_a_truncated_body_is_tried_three_times_and_refused(tmp_path):
    def truncated(handler, _):
        send(handler, BODY[:1000], length=len(BODY))
        handler.close_connection = True

    with server(truncated) as (url, attempts):
        message = refusal(url, tmp_path / "file.bin")
    assert f"1000 of {len(BODY)} bytes came" in message
    assert len(attempts) == 3


def test_the_third_try_may_succeed(tmp_path):
    def flaky(handler, attempt):
        send(handler, BODY if attempt == 3 else b"", status=200 if attempt == 3 else 503)

    with server(flaky) as (url, _):
        assert download(url, tmp_path / "file.bin", pause=0).read_bytes() == BODY


def test_nobody_listens(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = refusal(f"http://127.0.0.1:{port}/file.bin", tmp_path / "file.bin")
    assert "refused" in message
    assert message.endswith("Use demo.")


def test_a_silent_server_runs_into_the_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "TRIES", 1)
    done = threading.Event()
    with server(lambda *_: done.wait(5)) as (url, _):
        with pytest.raises(DataError, match="timed out"):
            download(url, tmp_path / "file.bin", timeout=0.2)
        done.set()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_no_half_file(tmp_path, monkeypatch):
    class Interrupted:
        def __init__(self, **_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, _):
            raise KeyboardInterrupt

    monkeypatch.setattr(download_module, "tqdm", Interrupted)
    with (
        server(lambda handler, _: send(handler, BODY[:5000])) as (url, _),
        pytest.raises(KeyboardInterrupt),
    ):
        download(url, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="must be writable"):
        download("http://127.0.0.1:9/", tmp_path / "file" / "below")
