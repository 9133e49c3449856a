"""`fetch criteo` against a server on this machine: the one file out of the archive, and nothing else of it."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import data
from datasets import registry
from datasets.core.errors import DataError
from datasets.core.manifest import Manifest
from datasets.fetch.files import fetch
from tests.helpers.criteo_samples import GOOD, random_lines

TEXT = "".join(f"{text}\n" for text in random_lines(3000)).encode()


def archive(*members: tuple[str, bytes | tarfile.TarInfo]) -> bytes:
    """A tar.gz of these names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


class Handler(BaseHTTPRequestHandler):
    """Sends the server's bodies in turn, the last one again and again."""

    def do_GET(self) -> None:
        self.server.requests += 1
        body, length = self.server.bodies[min(self.server.requests, len(self.server.bodies)) - 1]
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


Serve = Callable[..., Manifest]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """`serve(body, …)`: Criteo's manifest with the address of a server that sends these, in turn."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(ThreadingHTTPServer, "handle_error", lambda *arguments: None)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.requests, httpd.bodies = 0, []
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def with_bodies(*bodies: bytes | tuple[bytes, int] | None) -> Manifest:
        httpd.bodies = [body if isinstance(body, tuple) else (body, len(body or b"")) for body in bodies]
        entry = registry._DATASETS["criteo"]
        url = f"http://127.0.0.1:{httpd.server_port}/criteo.tar.gz"
        file = replace(entry.manifest.files[0], url=url, size=len(TEXT))
        manifest = replace(entry.manifest, files=(file,))
        monkeypatch.setitem(registry._DATASETS, "criteo", replace(entry, manifest=manifest))
        return manifest

    with_bodies.server = httpd
    yield with_bodies
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def files_under(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["train.txt", "./dac/train.txt", "../../train.txt", "/train.txt"])
def test_the_file_arrives_wherever_the_archive_has_it(serve: Serve, tmp_path: Path, name: str) -> None:
    """A path in the archive must decide nothing, a link with the right name neither."""
    body = archive(("readme.txt", b"hello"), ("train.txt", link("train.txt", "/etc/passwd")), (name, TEXT))
    lines: list[str] = []
    fetch(serve(body), tmp_path / "root", report=lines.append)
    assert files_under(tmp_path) == ["root/criteo/train.txt"]
    assert (tmp_path / "root" / "criteo" / "train.txt").read_bytes() == TEXT
    assert lines == ["criteo/train.txt: downloaded"]


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz"])
def test_what_is_there_is_not_downloaded_again(serve: Serve, tmp_path: Path, name: str) -> None:
    (tmp_path / "criteo").mkdir()
    (tmp_path / "criteo" / name).write_bytes(TEXT)
    fetch(serve(None), tmp_path)
    assert serve.server.requests == 0


def test_a_passing_fault_is_retried(serve: Serve, tmp_path: Path) -> None:
    good = archive(("train.txt", TEXT))
    fetch(serve((good[:-2000], len(good)), None, good), tmp_path)
    assert serve.server.requests == 3 and (tmp_path / "criteo" / "train.txt").read_bytes() == TEXT


GOOD_ARCHIVE = archive(("train.txt", TEXT))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, r"download failed \(404"),
        ((GOOD_ARCHIVE[:-2000], len(GOOD_ARCHIVE)), "download failed"),
        (GOOD_ARCHIVE[:-2000], "download failed"),
        (b"<html>moved</html>", "download failed .*no tar.gz"),
        (archive(("test.txt", TEXT)), "there is no train.txt in it"),
        (archive(("train.txt", link("train.txt", "readme.txt"))), "there is no train.txt in it"),
        (archive(("train.txt", TEXT * 3)), "more than"),
        (archive(("train.txt", b"<html>\n</html>\n")), "line 1: 1 columns .*criteo.tar.gz may have changed"),
        (archive(("train.txt", b"")), "is empty"),
        (archive(("train.txt", f"{GOOD}\n{GOOD}\t\n".encode())), "line 2: 41 columns"),
    ],
    ids=["404", "cut off", "shorter", "html", "no file", "link", "too large", "html inside", "empty", "41 columns"],
)
def test_a_bad_download_leaves_nothing_behind(
    serve: Serve, tmp_path: Path, body: bytes | tuple[bytes, int] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        fetch(serve(body), tmp_path, retries=1)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_failed_download_leaves_the_folders_that_were_there(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "criteo").mkdir()
    with pytest.raises(DataError, match="download failed"):
        fetch(serve(b"<html>"), tmp_path, retries=0)
    assert list(tmp_path.iterdir()) == [tmp_path / "criteo"]


def test_a_root_that_cannot_be_written_is_a_clear_error(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "criteo").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot be stored .*DFA_DATA_DIR"):
        fetch(serve(GOOD_ARCHIVE), tmp_path)


def test_the_commands_know_a_file_without_a_checksum(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`verify` must not claim an agreement that nobody can check."""
    serve(GOOD_ARCHIVE)
    assert data.main(["fetch", "criteo"]) == 0
    assert data.main(["status", "criteo"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("real")
    assert data.main(["verify", "criteo"]) == 0
    told = "criteo: 1 of 1 files begin in the right format (no checksum is published)\n"
    assert capsys.readouterr().out == told
    (tmp_path / "criteo" / "train.txt").write_text("something else\n")
    assert data.main(["verify", "criteo"]) == 2
    assert capsys.readouterr().err.endswith("fetch it again: python -m benchmarks.data fetch criteo\n")


def test_what_has_no_address_says_how_to_make_it(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """As an error if it was asked for, as a remark if everything was."""
    assert data.main(["fetch", "criteo_10k"]) == 2
    captured = capsys.readouterr()
    assert "head -10000 criteo/train.txt > criteo_10k/train.txt" in captured.err
    manifests = [registry.find_dataset("criteo_10k").manifest]
    assert data.fetch_all(manifests, Path("nowhere"), named=False) == 0
    assert "head -10000" in capsys.readouterr().out
