"""Data that lies elsewhere: a URL in a recipe, the hash that it is held to, and nothing secret in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from edgeflow.core.errors import RecipeError

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
HASH = re.compile(r"sha256=([0-9a-f]{64})")
SECRET = re.compile(r"sig|token|secret|passw|credential|auth|key|x-amz-|x-goog-", re.I)
"""Parts of the names under which a query carries what lets its bearer in. Source: AWS SigV4 query parameters,
Google Cloud Storage signed URLs, Azure's shared access signatures (`sig`).
"""

# fmt: off
WITHIN = frozenset((
    "arrow_hdfs", "async_wrapper", "asynclocal", "asyncwrapper", "blockcache", "cached", "dask", "data", "dir",
    "file", "filecache", "generic", "git", "libarchive", "local", "memory", "pyscript", "reference", "simplecache",
    "tar", "zip",
))
# fmt: on
"""Protocols of fsspec that name files of this machine, or wrap others. Source: fsspec 2026.9, available_protocols()."""


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A URL without its fragment; `sha256`: what its content is held to, where the recipe says."""

    url: str
    protocol: str
    sha256: str | None

    @property
    def name(self) -> str:
        """The last part of its path, which says what kind of file it is."""
        return urlsplit(self.url).path.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Brought:
    """What a URL gave: where it lies now, as the recipe reaches it, its hash and size. Of several files the hash is
    that of the lines that `sha256sum` prints for them, in the order of their names.
    """

    url: str
    path: str
    sha256: str
    bytes: int
    files: int


def is_remote(source: str | None) -> bool:
    """A URL, and no path."""
    return source is not None and URL.match(source) is not None


def path_part(source: str) -> str:
    """The path of a source without query and fragment: its ending says what kind of data it is."""
    return urlsplit(source).path if is_remote(source) else source


def remote_source(source: str, where: str) -> RemoteSource:
    """A URL of a recipe.

    Raises:
        RecipeError: it carries credentials, names files of this machine, code or no path, or its hash is none. The
            message holds nothing secret.
    """
    try:
        parts = urlsplit(source)
        user, at, _ = parts.netloc.rpartition("@")
        host = parts.hostname
    except ValueError as err:
        raise RecipeError(f"{where}: is no URL ({err})") from err
    protocol = parts.scheme.lower()
    # Azure writes container@account; a name alone, as sftp has it, lets nobody in.
    if at and (":" in user or protocol in ("http", "https")):
        raise RecipeError(
            f"{where}: its URL carries a user's name or password, which belong in no recipe",
            try_="the URL without them; credentials come from the environment or the library's own files, such as "
            "~/.netrc (docs/remote-data.md)",
        )
    for key, _ in parse_qsl(parts.query, keep_blank_values=True):
        if SECRET.search(key):
            raise RecipeError(
                f"{where}: its URL carries a credential, {key[:40]!r}, which belongs in no recipe",
                try_="the URL without its query; credentials come from the environment or the library's own files",
            )
    if protocol in WITHIN or "::" in source:
        raise RecipeError(
            f"{where}: {protocol}:// names files of this machine or wraps others, and a place elsewhere is wanted",
            try_="a path, or one URL such as s3://bucket/folder",
        )
    if ".py:" in source:
        raise RecipeError(f"{where}: names code, which is never fetched", try_="a function in a file beside the recipe")
    if not host or not parts.path.strip("/"):
        raise RecipeError(f"{where}: {protocol}:// should name a place and a path", try_=f"{protocol}://PLACE/PATH")
    found = HASH.fullmatch(parts.fragment)
    if parts.fragment and found is None:
        raise RecipeError(
            f"{where}: what stands behind # should be sha256= and 64 hexadecimal digits", try_="#sha256=…, or nothing"
        )
    if protocol == "http" and found is None:
        raise RecipeError(
            f"{where}: http:// says not who answers, so that its content needs a hash", try_="https://, or #sha256=…"
        )
    return RemoteSource(parts._replace(fragment="").geturl(), protocol, None if found is None else found[1])
