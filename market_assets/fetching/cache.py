"""Answers to questions about closed history, kept on disk so that they are asked for once.

Belongs here: keeping bodies under a key, within a size, and surviving what happens to files. Does not belong here:
which answers may be kept. That is `SourceContext.keeps` for the range, and the source for what else an answer depends
on.

A cache that fails is only slow: a full disk, a folder without permission or a damaged file makes it forget, never fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

SECRETS: Final = frozenset({"apikey", "api_key", "api_token", "token", "crumb", "key"})
"""Parameters that name the asker, not the question: never part of a key."""

_DIGEST_SIZE: Final = hashlib.sha256().digest_size
_SUFFIX: Final = ".answer"
_ROOM_AFTER_EVICTION: Final = 0.9  # of max_bytes: evicting for every new answer would list the folder each time


class HttpCache:
    """Bodies by key in one folder. May be used from several threads and processes.

    Files are written beside their place and moved there whole; a checksum tells a damaged one, which is removed. When
    the folder outgrows its size the answers that were not used for longest go first.

    Args:
        folder: made when first written to. Names of files are digests.
        max_bytes: size it is kept within.
        enabled: False = knows nothing and keeps nothing.
    """

    def __init__(self, folder: Path, max_bytes: int = 512 * 2**20, enabled: bool = True) -> None:
        self.folder, self.max_bytes, self.enabled = folder, max_bytes, enabled
        self.hits = 0
        self._lock = threading.Lock()
        self._bytes: int | None = None
        self._told = False

    def read(self, key: str) -> bytes | None:
        """The body kept under `key`; None when there is none, or none that is whole."""
        if not self.enabled:
            return None
        path = self._path(key)
        try:
            content = path.read_bytes()
            body = _unpacked(content)
            if body is None:
                path.unlink(missing_ok=True)
                logger.warning("HTTP cache: removed the damaged file %s; its question is asked again", path)
                return None
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell(error)
            return None
        with self._lock:
            self.hits += 1
        return body

    def write(self, key: str, body: bytes) -> None:
        """Keep `body` under `key`, if it can be kept."""
        content = _packed(body)
        if not self.enabled or len(content) > self.max_bytes:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, content)
            self._make_room(len(content))
        except OSError as error:
            self._tell(error)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for path, _ in self._files():
                with contextlib.suppress(OSError):
                    path.unlink()
            self._bytes = 0

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}{_SUFFIX}"

    def _make_room(self, added: int) -> None:
        with self._lock:
            known = self._bytes
            self._bytes = sum(stat.st_size for _, stat in self._files()) if known is None else known + added
            if self._bytes <= self.max_bytes:
                return
            # Listed again: other processes write and evict too.
            files = sorted(self._files(), key=lambda entry: entry[1].st_mtime_ns)
            self._bytes = sum(stat.st_size for _, stat in files)
            for path, stat in files:
                if self._bytes <= self.max_bytes * _ROOM_AFTER_EVICTION:
                    break
                path.unlink(missing_ok=True)
                self._bytes -= stat.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob(f"*/*{_SUFFIX}*"):
            with contextlib.suppress(OSError):
                yield path, path.stat()

    def _tell(self, error: OSError) -> None:
        """Once: a full disk fails every write."""
        if not self._told:
            self._told = True
            logger.warning(
                "HTTP cache: %s: %s. Answers are asked for again; free space or set ingest.http_cache.enabled: false",
                self.folder,
                error.strerror or error,
            )


def cache_key(source: str, url: str, params: Mapping[str, object], *circumstances: str) -> str:
    """Key of a question: who is asked, what, and what else the answer depends on. Parameters in SECRETS are left out.

    Args:
        source: name of the source.
        url: address without its query.
        params: its query.
        circumstances: such as a digest of the splits that the vendor has applied to the answer since.
    """
    asked = sorted((name, str(value)) for name, value in params.items() if name.lower() not in SECRETS)
    return repr((source, url, asked, circumstances))


def _packed(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + zlib.compress(body, level=1)


def _unpacked(content: bytes) -> bytes | None:
    try:
        body = zlib.decompress(content[_DIGEST_SIZE:])
    except zlib.error:
        return None
    return body if hashlib.sha256(body).digest() == content[:_DIGEST_SIZE] else None


def _write_whole(path: Path, content: bytes) -> None:
    """The file appears with all of its content or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
