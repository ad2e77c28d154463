"""The cache of answers: whole or nothing, within its size, without secrets, and never a reason to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from market_assets.fetching.cache import HttpCache, cache_key

URL = "https://vendor.example/eod/IBM"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path / "http")
    assert cache.read("question") is None
    cache.write("question", b'{"chart": 1}')
    assert HttpCache(tmp_path / "http").read("question") == b'{"chart": 1}'
    assert cache.read("another question") is None


def test_switched_off_it_neither_writes_nor_reads(tmp_path: Path) -> None:
    HttpCache(tmp_path).write("question", b"answer")
    off = HttpCache(tmp_path, enabled=False)
    off.write("another", b"answer")
    assert off.read("question") is None
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, b"short", None])
def test_a_damaged_file_is_removed_and_its_question_asked_again(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    cache = HttpCache(tmp_path)
    cache.write("question", b"answer" * 100)
    (file,) = files(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if damage is None else damage)
    assert cache.read("question") is None
    assert files(tmp_path) == []
    assert "damaged" in caplog.text
    cache.write("question", b"answer")
    assert cache.read("question") == b"answer"


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path, max_bytes=10_000)
    for number in range(8):
        cache.write(f"question {number}", os.urandom(1100))
        for file in files(tmp_path):
            os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns - 10**9))
    assert cache.read("question 0") is not None  # used just now
    for number in range(8, 12):
        cache.write(f"question {number}", os.urandom(1100))
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 10_000
    assert cache.read("question 0") is not None
    assert cache.read("question 11") is not None
    assert cache.read("question 1") is None


def test_an_answer_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path, max_bytes=1000)
    cache.write("question", os.urandom(5000))
    assert files(tmp_path) == []


def test_a_full_disk_makes_it_forget_and_nothing_else(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = HttpCache(small_disk / "http")
    bodies = {f"question {number}": os.urandom(20_000) for number in range(30)}
    for key, body in bodies.items():
        cache.write(key, body)
    kept = {key: found for key in bodies if (found := cache.read(key)) is not None}
    assert 0 < len(kept) < len(bodies)
    assert all(bodies[key] == body for key, body in kept.items())
    assert [path for path in files(small_disk) if not path.name.endswith(".answer")] == []
    assert caplog.text.count("No space left on device") == 1


def test_a_limit_on_the_size_of_files_makes_it_forget(tmp_path: Path) -> None:
    """What a quota does, for those who may not mount a file system."""
    script = (
        "import os, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from market_assets.fetching.cache import HttpCache\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "cache = HttpCache(Path(sys.argv[1]))\n"
        "cache.write('large', os.urandom(5000)); cache.write('small', b'answer')\n"
        "print(cache.read('large'), cache.read('small'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "None b'answer'\n"
    assert len(files(tmp_path)) == 1


def test_a_folder_that_is_a_file_makes_it_forget(tmp_path: Path) -> None:
    (tmp_path / "http").write_text("in the way")
    cache = HttpCache(tmp_path / "http")
    cache.write("question", b"answer")
    assert cache.read("question") is None


def test_threads_and_processes_may_write_the_same(tmp_path: Path) -> None:
    caches = [HttpCache(tmp_path, max_bytes=20_000) for _ in range(4)]
    wrong = []

    def work(cache: HttpCache) -> None:
        for number in range(60):
            cache.write(f"question {number % 12}", f"answer {number % 12}".encode() * 400)
            found = cache.read(f"question {number % 12}")
            if found not in {None, f"answer {number % 12}".encode() * 400}:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(cache,)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_clear_forgets_everything(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path)
    cache.write("question", b"answer")
    cache.clear()
    assert files(tmp_path) == []


def test_a_key_says_what_is_asked_and_not_who_asks(tmp_path: Path) -> None:
    mine = cache_key("tiingo", URL, {"from": "2020-01-01", "token": "s3cret"})
    assert mine == cache_key("tiingo", URL, {"token": "0ther", "from": "2020-01-01"})
    assert "s3cret" not in mine
    HttpCache(tmp_path).write(mine, b"answer")
    assert all("s3cret" not in str(path) and "IBM" not in str(path) for path in files(tmp_path))
    for other in (
        cache_key("eodhd", URL, {"from": "2020-01-01"}),
        cache_key("tiingo", URL, {"from": "2020-01-02"}),
        cache_key("tiingo", URL + "X", {"from": "2020-01-01"}),
        cache_key("tiingo", URL, {"from": "2020-01-01"}, "2:1 on 2021-06-01"),
    ):
        assert other != mine
