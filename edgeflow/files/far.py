"""Files that lie elsewhere: which there are, and their bytes from any place on. HTTP by requests, all else by fsspec.

Credentials come from the environment and the libraries' own files: ~/.netrc, ~/.aws, HADOOP_CONF_DIR, Kerberos.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from edgeflow.core.errors import BackendMissing, DataError, last_line
from edgeflow.core.need import need
from edgeflow.core.remote import RemoteSource
from edgeflow.files.inside import plain_name

BLOCK_BYTES = 4 << 20
DEEP = 2
"""Folders below the one that is named, itself included: classes of pictures are folders in a folder."""

CONNECT_S, SILENT_S = 10, 60
EXTRAS = {"s3": "s3", "s3a": "s3", "hdfs": "hdfs", "viewfs": "hdfs", "webhdfs": "hdfs"}
MARKS = (
    "ETag",
    "etag",
    "md5",
    "VersionId",
    "checksum",
    "LastModified",
    "last_modified",
    "mtime",
    "modification_time",
    "modificationTime",
)
"""Under which names file systems of fsspec say that a file is another one than it was. Source: their info()."""


class Gone(Exception):
    """The connection broke or the server is busy: another try makes sense."""


class NoRanges(Exception):
    """The server gives a file from its beginning only."""


@dataclass(frozen=True, slots=True)
class FarFile:
    """One file: `name` relative to what was asked for, `bytes` where known; `mark` differs when the content does, None
    where nothing tells.
    """

    at: str
    name: str
    bytes: int | None = None
    mark: str | None = None


class Far(Protocol):
    """A place elsewhere."""

    def files(self) -> tuple[list[FarFile], bool]:
        """The files of what was asked for, and whether it is a folder."""
        ...

    def beside(self, name: str) -> FarFile:
        """A file in the folder of the one that was asked for."""
        ...

    def read(self, file: FarFile, start: int) -> Iterator[bytes]:
        """Its bytes from `start` on."""
        ...


def far(source: RemoteSource, where: str) -> Far:
    """Where a source lies.

    Raises:
        BackendMissing: the library for its protocol is not installed.
        DataError: nothing reads such a protocol.
    """
    return Web(source, where) if source.protocol in ("http", "https") else Store(source, where)


def safe_name(name: str, where: str) -> str:
    """A name that stays in the folder that it is put into.

    Raises:
        DataError: it does not.
    """
    parts = PurePosixPath(name).parts
    if not plain_name(name) or name.startswith("/") or ".." in parts or not parts or "\\" in name:
        raise DataError(f"{where}: names the file {name[:80]!r}, which leads out of its folder")
    return str(PurePosixPath(*parts))


def said(err: BaseException) -> str:
    """An error of a library in a line, without what a URL carries behind its path."""
    first = last_line(err) if not str(err).strip() else str(err).strip().splitlines()[0]
    return re.sub(r"\?[^\s'\"<>]*", "?…", f"{type(err).__name__}: {first}")[:300]


class Web:
    """A file over HTTP."""

    def __init__(self, source: RemoteSource, where: str) -> None:
        self._source, self._where = source, where
        self._session = need("requests", "http").Session()

    def files(self) -> tuple[list[FarFile], bool]:
        with self._answer("HEAD", self._source.url, {}) as answer:
            if answer.status_code in (405, 501):  # knows of no HEAD
                return [FarFile(self._source.url, safe_name(self._source.name, self._where))], False
            self._validate(answer)
            size = answer.headers.get("Content-Length")
            marks = [answer.headers[key] for key in ("ETag", "Last-Modified") if key in answer.headers]
            known = int(size) if size is not None and size.isdecimal() else None
            mark = " ".join([*marks, str(known)]) if marks else None
            return [FarFile(self._source.url, safe_name(self._source.name, self._where), known, mark)], False

    def beside(self, name: str) -> FarFile:
        parts = urlsplit(self._source.url)
        path = f"{parts.path.rpartition('/')[0]}/{quote(name)}"
        return FarFile(parts._replace(path=path, query="").geturl(), safe_name(name, self._where))

    def read(self, file: FarFile, start: int) -> Iterator[bytes]:
        import requests
        import urllib3

        with self._answer("GET", file.at, {"Range": f"bytes={start}-"} if start else {}) as answer:
            if start and answer.status_code == 416 and file.bytes in (start, None):
                return
            self._validate(answer)
            begins = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            if start and (answer.status_code != 206 or begins is None or int(begins[1]) != start):
                raise NoRanges
            try:
                while block := answer.raw.read(BLOCK_BYTES, decode_content=False):
                    yield block
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as err:
                raise Gone(said(err)) from err

    def _answer(self, method: str, url: str, headers: Mapping[str, str]) -> Any:
        import requests

        told = {"Accept-Encoding": "identity", **headers}
        try:
            return self._session.request(
                method, url, headers=told, stream=True, timeout=(CONNECT_S, SILENT_S), allow_redirects=True
            )
        except (requests.ConnectionError, requests.Timeout) as err:
            raise Gone(said(err)) from err
        except requests.RequestException as err:
            raise DataError(f"{self._where}: cannot be fetched ({said(err)})") from err

    def _validate(self, answer: Any) -> None:
        """Raise what an answer that is no success means."""
        safe = self._source.protocol == "http" or all(
            hop.url.startswith("https://") for hop in (*answer.history, answer)
        )
        if not safe:
            raise DataError(f"{self._where}: leads from https to a server that does not say who it is")
        code = answer.status_code
        if code in (408, 425, 429) or code >= 500:
            raise Gone(f"the server answered {code}")
        if code in (401, 403):
            raise DataError(
                f"{self._where}: the server refuses it ({code})", try_="credentials for its host in ~/.netrc"
            )
        if code >= 400:
            raise DataError(f"{self._where}: is not there (the server answered {code})", try_="see whether it moved")


class Store:
    """A file or a folder in a store that fsspec knows: S3, HDFS, WebHDFS and others."""

    def __init__(self, source: RemoteSource, where: str) -> None:
        self._where = where
        self._fs, self._path = _file_system(source, where)
        self._name, self._native = source.name, source.protocol in ("hdfs", "viewfs")

    def files(self) -> tuple[list[FarFile], bool]:
        top = self._tried(lambda: self._fs.info(self._path))
        if top.get("type") != "directory":
            return [self._file(top, safe_name(self._name, self._where), self._path)], False
        found = self._tried(lambda: self._fs.find(self._path, maxdepth=DEEP, detail=True))
        root = self._path.rstrip("/") + "/"
        return [
            self._file(info, safe_name(path.removeprefix(root), self._where), path)
            for path, info in sorted(found.items())
            if info.get("type") != "directory" and not path.endswith("/")
        ], True

    def beside(self, name: str) -> FarFile:
        path = f"{self._path.rpartition('/')[0]}/{name}"
        return self._file(self._tried(lambda: self._fs.info(path)), safe_name(name, self._where), path)

    def read(self, file: FarFile, start: int) -> Iterator[bytes]:
        if file.bytes == start:
            return
        # hdfs-native would wrap its reader in one that seeks wrongly, were it told a size.
        sized = {} if self._native else {"block_size": BLOCK_BYTES, "cache_type": "none"}
        with self._tried(lambda: self._fs.open(file.at, "rb", **sized)) as stream:
            self._tried(lambda: stream.seek(start))
            while block := self._tried(lambda: stream.read(BLOCK_BYTES)):
                yield bytes(block)

    def _file(self, info: Mapping[str, Any], name: str, path: str) -> FarFile:
        size = info.get("size")
        marks = [str(info[key]) for key in MARKS if info.get(key) is not None]
        return FarFile(path, name, size, " ".join([*marks, str(size)]) if marks else None)

    def _tried(self, work: Any) -> Any:
        """What a library of many kinds does, in words: what is missing or refused at once, all else as broken off."""
        try:
            return work()
        except FileNotFoundError as err:
            raise DataError(f"{self._where}: is not there", try_="see whether it moved, or what it is called") from err
        except PermissionError as err:
            raise DataError(
                f"{self._where}: the store refuses it ({said(err)})",
                try_="credentials in the environment or the library's own files (docs/remote-data.md)",
            ) from err
        except (ImportError, NotImplementedError) as err:
            raise DataError(f"{self._where}: cannot be read ({said(err)})") from err
        except Exception as err:
            raise Gone(said(err)) from err


def _file_system(source: RemoteSource, where: str) -> tuple[Any, str]:
    protocol = source.protocol
    fsspec = need("fsspec", EXTRAS.get(protocol, "s3"))
    if protocol in EXTRAS and protocol != "webhdfs":
        need("hdfs_native" if EXTRAS[protocol] == "hdfs" else "s3fs", EXTRAS[protocol])
    try:
        if protocol in ("hdfs", "viewfs"):  # fsspec's own is pyarrow's, which wants a JVM
            native = importlib.import_module("hdfs_native.fsspec")
            kind = native.HdfsFileSystem if protocol == "hdfs" else native.ViewfsFileSystem
        else:
            kind = fsspec.get_filesystem_class(protocol)
        options = {**kind._get_kwargs_from_urls(source.url), **_options(protocol)}
        return kind(skip_instance_cache=True, **options), str(kind._strip_protocol(source.url))
    except ValueError as err:
        raise DataError(
            f"{where}: {protocol}:// is a protocol that nothing here reads ({said(err)})",
            try_="https://, s3://, hdfs:// or webhdfs://, or a package that teaches fsspec this one",
        ) from err
    except ImportError as err:
        raise BackendMissing(f"{protocol}:// needs a package that is not installed ({err})") from err
    except Exception as err:
        raise DataError(f"{where}: cannot be reached ({said(err)})") from err


def _options(protocol: str) -> dict[str, Any]:
    """What file systems are told that their own environment does not tell them."""
    if protocol in ("s3", "s3a"):
        session = importlib.import_module("botocore.session").get_session()
        # Where nobody gave credentials, the bucket may be public; s3fs would end in an error instead.
        return {"anon": session.get_credentials() is None, "use_listings_cache": False}
    if protocol == "webhdfs":
        import os

        return {"user": name} if (name := os.environ.get("HADOOP_USER_NAME")) else {}
    return {}
