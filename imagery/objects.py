"""Bytes by key, in files or in S3: one client opens both."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from imagery.errors import InvalidInput, ObjectStoreUnavailable, ObjectUnknown, SettingsInvalid
from imagery.metering import meter_in_use

MAX_KEY_BYTES = 1024
"""S3's limit, prefix of the store included."""

MAX_SEGMENT_BYTES = 240
"""File systems take 255; the client adds a suffix while it writes."""

BATCH = 1000
"""Keys deleted in one call: what S3 takes at most. Files go ten at a time."""

_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\\%?#]")
"""Control characters; the other system's slash; and what means something in a URL, where half of all readers decode
`file` and `s3` hrefs and half (GDAL, rasterio, fsspec) do not: without these both find the object."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_STAGED = re.compile(r"#\d+$")
"""How the client names a file it is writing."""


def open_objects(url: str, options: Mapping[str, str] | None = None, *, retries: int = 5) -> Objects:
    """The objects below `file:///folder` or `s3://bucket/prefix`.

    `options` are obstore's for S3: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `session_token` …
    What is not given there is taken from `AWS_…` variables, then from the machine's role. `retries`: of a request S3
    did not answer, within a minute. Raises SettingsInvalid.
    """
    scheme, rest = url.partition("://")[::2]
    try:
        if scheme == "file" and rest.startswith("/") and not urlsplit(url).query and not urlsplit(url).fragment:
            return Objects.in_folder(Path(unquote(rest)))
        bucket, _, prefix = rest.partition("/")
        if scheme == "s3" and _BUCKET.fullmatch(bucket):
            return Objects.in_bucket(bucket, prefix.strip("/"), options or {}, retries=retries)
    except (BaseError, OSError, ValueError, InvalidInput) as error:
        raise SettingsInvalid(f"{url} cannot be opened: {_first_line(error)}", field="IMAGERY_OBJECTS_URL") from error
    raise SettingsInvalid(
        f"{url!r} is no place for objects; give file:///folder or s3://bucket/prefix", field="IMAGERY_OBJECTS_URL"
    )


def parse_key(key: str, *, field: str | None = None) -> str:
    """The key itself. Raises InvalidInput unless it names one object below the root, in files and in S3 alike."""
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise InvalidInput(f"{key!r}: no part between slashes may be empty, `.` or `..`", field=field)
        if _REFUSED.search(segment):
            raise InvalidInput(f"{key!r}: none of `%`, `?`, `#`, backslash or control characters", field=field)
        if _length(segment, field) > MAX_SEGMENT_BYTES:
            raise InvalidInput(f"{key!r}: a part between slashes has over {MAX_SEGMENT_BYTES} bytes", field=field)
    if _length(key, field) > MAX_KEY_BYTES:
        raise InvalidInput(f"the key has over {MAX_KEY_BYTES} bytes: {key[:60]!r}…", field=field)
    return key


class Objects:
    """An ObjectStore. Every key is checked, so that nothing a caller names lies outside the root."""

    def __init__(self, store: LocalStore | S3Store, *, root: str, folder: Path | None = None) -> None:
        """`root`: href of everything, without a slash at the end. `folder`: the same on disk, when it is there."""
        self._store = store
        self._root = root
        self._folder = folder

    @classmethod
    def in_folder(cls, folder: Path) -> Objects:
        """Files below a folder, which is made if it is not there."""
        folder = folder.resolve()
        if _REFUSED.search(str(folder)):
            raise InvalidInput("choose a folder without `%`, `?`, `#`, backslash or control characters in its path")
        folder.mkdir(parents=True, exist_ok=True)
        return cls(LocalStore(folder), root=f"file://{folder}".rstrip("/"), folder=folder)

    @classmethod
    def in_bucket(cls, bucket: str, prefix: str, options: Mapping[str, str], *, retries: int) -> Objects:
        """Objects below a prefix of a bucket that is there; the prefix may be empty."""
        if prefix:
            parse_key(prefix)
        config = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
        endpoint = config.get("endpoint", config.get("endpoint_url", ""))
        store = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,  # type: ignore[arg-type]
            client_options={"allow_http": endpoint.startswith("http://")} if endpoint else None,
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=60)},
        )
        return cls(store, root=f"s3://{bucket}/{prefix}".rstrip("/"))

    def put(self, key: str, body: bytes, *, media_type: str) -> str:
        """See the port. Files keep no media type; they are flushed to disk, which obstore itself does not do."""
        parse_key(key)
        with _translated(f"{self.href(key)} was not written"):
            if self._folder is None:
                self._store.put(key, body, attributes={"Content-Type": media_type})
            else:
                self._store.put(key, body)
                _flush(self._folder, key)
        if (meter := meter_in_use()) is not None:
            meter.has_written(len(body))
        return self.href(key)

    def get(self, key: str) -> bytes:
        """See the port."""
        parse_key(key)
        with _translated(f"{self.href(key)} was not read"):
            try:
                body = bytes(self._store.get(key).bytes())
            except FileNotFoundError as error:
                raise ObjectUnknown(f"no object {self.href(key)}") from error
        if (meter := meter_in_use()) is not None:
            meter.has_read(len(body))
        return body

    def href(self, key: str) -> str:
        """See the port. Nothing in it is percent-encoded: rasterio and GDAL take a space as it is, and only so."""
        return f"{self._root}/{parse_key(key)}"

    def remove_prefix(self, prefix: str) -> int:
        """See the port. Of files, the folders left empty go too, and what a killed writer left behind.

        When several remove the same prefix at once, some objects may be counted by none of them.
        """
        parse_key(prefix)
        removed = 0
        with _translated(f"objects below {self._root}/{prefix}/ were not removed"):
            for batch in self._store.list(prefix, chunk_size=BATCH):
                keys = [each["path"] for each in batch if each["path"].startswith(f"{prefix}/")]
                removed += self._remove(keys)
            if self._folder is not None:
                _prune(self._folder, prefix)
        return removed

    def _remove(self, keys: list[str]) -> int:
        if not keys:
            return 0
        try:
            self._store.delete(keys)
        except FileNotFoundError:
            # Somebody else removes the same prefix: which of the batch are left is not said.
            return sum(map(self._is_removed, keys))
        return len(keys)

    def _is_removed(self, key: str) -> bool:
        try:
            self._store.delete(key)
        except FileNotFoundError:
            return False
        return True


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError, NotImplementedError) as error:
        raise ObjectStoreUnavailable(f"{what}: {_first_line(error)}; try again, then look at the store") from error


def _first_line(error: Exception) -> str:
    # obstore adds pages of debug output; request headers may be among them.
    return str(error).strip().partition("\n")[0]


def _length(text: str, field: str | None) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{text!r} is not text that UTF-8 can hold", field=field) from error


def _flush(folder: Path, key: str) -> None:
    """Wait until the file, and the folders that lead to it, would survive a loss of power."""
    path = folder / key
    for each in (path, *path.parents):
        descriptor = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if each == folder:
            return


def _prune(folder: Path, prefix: str) -> None:
    """Remove what a killed writer left, then every folder that is empty, up to the root but not the root."""
    top = folder / prefix
    for name, _, files in os.walk(top, topdown=False):
        for file in filter(_STAGED.search, files):
            (Path(name) / file).unlink(missing_ok=True)
        with suppress(OSError):
            Path(name).rmdir()
    for parent in top.parents:
        if parent == folder:
            return
        try:
            parent.rmdir()
        except OSError:
            return
