"""Downloads against a server on this machine: only the published bytes ever appear under a file's name."""

from __future__ import annotations

import hashlib
import io
import itertools
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datasets.core.errors import DataError
from datasets.core.manifest import Manifest, RemoteFile
from datasets.fetch import http_body
from datasets.fetch.files import fetch
from datasets.wikitext.manifest import WikiTextManifest
from datasets.wikitext.text import check_text
from tests import REPOSITORY

CONTENT = b"published bytes " * 5000
MEMBERS = {"one.bin": b"1" * 80_000, "two.bin": b"2" * 60_000, "three.bin": b"3" * 20_000}
MANY = 2000  # times the content; 160 MB


def _packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"batches/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = _packed(MEMBERS)


class Handler(BaseHTTPRequestHandler):
    """Answers by path; the server counts requests."""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path == "/absent":
            self.send_error(404)
            return
        if self.path == "/flaky" and len(self.server.requests) == 1:
            self.send_error(503)
            return
        if self.path == "/round":
            self.send_response(302)
            self.send_header("Location", "/round")
            self.end_headers()
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        if self.path == "/slow":
            self._send_slowly()
            return
        if self.path == "/endless":
            self._send_endlessly()
            return
        body = CONTENT[::-1] if self.path == "/wrong" else ARCHIVE if self.path == "/archive" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

    def _send_endlessly(self) -> None:
        """Far more than the file has, and no word of how much; ends early if the client hangs up."""
        self.send_response(200)
        self.end_headers()
        for self.server.pieces in range(MANY):
            self.wfile.write(CONTENT)

    def _send_slowly(self) -> None:
        """A byte at a time; a timeout of the socket never ends this."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        for place in range(200):
            self.wfile.write(CONTENT[place : place + 1])
            self.wfile.flush()
            self.server.taken.wait(timeout=5)
            self.server.taken.clear()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A client that hangs up early is what some tests are about; a thread may notice it after its test has ended.
    httpd.handle_error = lambda *arguments: None
    httpd.requests, httpd.taken = [], threading.Event()
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def manifest_of(server: ThreadingHTTPServer, *names: str) -> Manifest:
    address = f"http://127.0.0.1:{server.server_port}"
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    files = tuple(RemoteFile(f"toy/raw/{name}", f"{address}/{name}", sha256, len(CONTENT)) for name in names)
    return Manifest("toy", "toy/raw", "MIT", "here", files)


def files_under(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_good_files_arrive(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    lines: list[str] = []
    fetch(manifest_of(server, "one", "two"), tmp_path, retries=0, report=lines.append)
    assert (tmp_path / "toy" / "raw" / "one").read_bytes() == CONTENT
    assert files_under(tmp_path) == ["one", "two"]
    assert lines == ["toy/raw/one: downloaded", "toy/raw/two: downloaded"]


def test_what_is_there_is_not_downloaded_again(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    manifest = manifest_of(server, "one")
    fetch(manifest, tmp_path, retries=0)
    lines: list[str] = []
    fetch(manifest, tmp_path, retries=0, report=lines.append)
    assert server.requests == ["/one"] and lines == ["toy/raw/one: already there"]


def test_a_wrong_file_that_is_there_is_replaced(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    place = tmp_path / "toy" / "raw" / "one"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half")
    fetch(manifest_of(server, "one"), tmp_path, retries=0)
    assert place.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", r"/wrong: the content is not the published one"),
        ("absent", r"/absent: download failed \(404.*benchmarks\.data fetch toy"),
        ("cut", r"/cut: download failed .*benchmarks\.data fetch toy"),
    ],
)
def test_a_bad_download_leaves_nothing_behind(
    server: ThreadingHTTPServer, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        fetch(manifest_of(server, name), tmp_path, retries=1)
    assert "\n" not in str(caught.value)
    assert server.requests == [f"/{name}"] * 2
    assert files_under(tmp_path) == []


def test_an_endless_download_is_given_up(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/endless: the content is not the published one"):
        fetch(manifest_of(server, "endless"), tmp_path, retries=0)
    assert files_under(tmp_path) == []
    # What the sockets' buffers hold may be sent beyond the file's size, not more.
    assert server.pieces < MANY // 2


def test_a_download_that_hardly_comes_is_given_up(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sends a byte every half minute keeps a socket's timeout from ending the wait, for a year."""
    seconds = itertools.count(step=29)

    def clock() -> float:
        server.taken.set()  # the next byte
        return next(seconds)

    monkeypatch.setattr(http_body.Body.__init__, "__defaults__", (clock,))
    with pytest.raises(DataError, match=r"/slow: download failed \(\d bytes in 87 seconds\); check the connection"):
        fetch(manifest_of(server, "slow"), tmp_path, retries=0)
    assert files_under(tmp_path) == []


@pytest.mark.parametrize("name", ["round", "elsewhere"])
def test_redirections_that_lead_nowhere_are_one_line(server: ThreadingHTTPServer, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"/{name}: download failed \(.*\); check the connection"):
        fetch(manifest_of(server, name), tmp_path, retries=0)
    assert files_under(tmp_path) == [] and len(server.requests) < 40


def test_a_full_disk_leaves_nothing_behind(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file cut off by a full disk would be there under its name, and be looked at by every later run."""
    (tmp_path / "toy" / "raw").mkdir(parents=True)
    (tmp_path / "toy" / "raw" / "one").write_bytes(b"an older version")
    program = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom datasets.fetch.files import fetch\n"
        "from datasets.core.manifest import Manifest, RemoteFile\nfrom datasets.core.errors import DataError\n"
        "url, sha256, size, root = sys.argv[1:]\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "file = RemoteFile('toy/raw/one', url, sha256, int(size))\n"
        "try: fetch(Manifest('toy', 'toy/raw', 'MIT', 'here', (file,)), Path(root), retries=0)\n"
        "except DataError as error: print(error)\n"
    )
    file = manifest_of(server, "one").files[0]
    done = subprocess.run(
        [sys.executable, "-c", program, file.url, file.sha256, str(file.size), str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be stored (File too large)" in done.stdout.replace("[Errno 27] ", "") and done.stderr == ""
    assert files_under(tmp_path) == ["one"] and (tmp_path / "toy/raw/one").read_bytes() == b"an older version"


def test_a_bad_download_spares_the_file_that_is_there(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    place = tmp_path / "toy" / "raw" / "cut"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"an older version")
    with pytest.raises(DataError):
        fetch(manifest_of(server, "cut"), tmp_path, retries=0)
    assert place.read_bytes() == b"an older version"


def test_a_passing_fault_is_retried(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    fetch(manifest_of(server, "flaky"), tmp_path, retries=1)
    assert server.requests == ["/flaky"] * 2 and files_under(tmp_path) == ["flaky"]


def test_no_server_names_the_address_and_the_remedy(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    file = RemoteFile("toy/raw/one", "http://127.0.0.1:9/one", "0" * 64, 1)  # port 9 discards: nobody listens
    with pytest.raises(
        DataError, match=r"http://127\.0\.0\.1:9/one: download failed \(.*Connection refused.*fetch toy"
    ):
        fetch(Manifest("toy", "toy/raw", "MIT", "here", (file,)), tmp_path, retries=0)


def test_a_root_that_cannot_be_written_is_a_clear_error(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "toy").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot be stored .*DFA_DATA_DIR"):
        fetch(manifest_of(server, "one"), tmp_path, retries=0)


def test_of_an_archive_that_may_stay_packed_the_archive_is_fetched(server, tmp_path):
    """WikiText's files have no addresses of their own: a fetch of them would end before it began."""
    address = f"http://127.0.0.1:{server.server_port}"
    archive = RemoteFile("toy-v1.zip", f"{address}/toy", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    manifest = WikiTextManifest(
        "toy", "toy", "MIT", "here", (RemoteFile("toy/wiki.train.tokens", None, None, 1),), archive=archive
    )
    fetch(manifest, tmp_path)
    assert files_under(tmp_path) == ["toy-v1.zip"] and (tmp_path / "toy-v1.zip").read_bytes() == CONTENT
    assert manifest.place(tmp_path) == tmp_path / "toy-v1.zip" and not manifest.missing(tmp_path)
    fetch(manifest, tmp_path)
    assert server.requests == ["/toy"]  # what is there and right is not fetched again


def test_a_bad_file_of_an_unpacked_archive_is_to_be_removed(tmp_path):
    """It has no address of its own; fetched beside a whole folder, the archive would not be looked at."""
    names = ("toy/wiki.train.tokens", "toy/wiki.test.tokens")
    (tmp_path / "toy").mkdir()
    (tmp_path / names[0]).write_bytes(b" a \n")
    (tmp_path / names[1]).write_bytes(b" a \n\xff")
    files = tuple(RemoteFile(name, None, None, 1, check=check_text) for name in names)
    manifest = WikiTextManifest(
        "toy", "toy", "MIT", "here", files, archive=RemoteFile("toy-v1.zip", "http://x", "0", 1)
    )
    with pytest.raises(DataError, match=r"test\.tokens has no public address; remove .*toy and repeat"):
        fetch(manifest, tmp_path)


def members_of(server: ThreadingHTTPServer, contents: dict[str, bytes]) -> Manifest:
    """A dataset whose files lie in one archive, with the checksums of ``contents``."""
    address = f"http://127.0.0.1:{server.server_port}/archive"
    files = tuple(
        RemoteFile(f"toy/raw/{name}", address, hashlib.sha256(content).hexdigest(), len(content), member=name)
        for name, content in contents.items()
    )
    return Manifest("toy", "toy/raw", "MIT", "here", files)


def test_an_archive_of_several_files_is_read_once(server, tmp_path):
    """CIFAR-10 has six files in one archive of 170 MB."""
    manifest = members_of(server, MEMBERS)
    lines: list[str] = []
    fetch(manifest, tmp_path, report=lines.append)
    assert server.requests == ["/archive"] and files_under(tmp_path) == sorted(MEMBERS)
    assert lines == [f"toy/raw/{name}: downloaded" for name in MEMBERS]
    (tmp_path / "toy/raw/three.bin").unlink()  # the last and smallest: what lies before it is more than twice as long
    fetch(manifest, tmp_path)
    assert server.requests == ["/archive"] * 2 and files_under(tmp_path) == sorted(MEMBERS)


def test_of_an_archive_with_one_wrong_file_nothing_is_kept(server, tmp_path):
    with pytest.raises(DataError, match=r"two\.bin.*has sha256 .* may have changed; look there"):
        fetch(members_of(server, MEMBERS | {"two.bin": b"x" * 60_000}), tmp_path)
    assert files_under(tmp_path) == []


def test_an_archive_without_one_of_the_files_names_it(server, tmp_path):
    with pytest.raises(DataError, match=r"download failed \(there is no four\.bin in it\)"):
        fetch(members_of(server, MEMBERS | {"four.bin": b"4"}), tmp_path, retries=0)
    assert files_under(tmp_path) == []
