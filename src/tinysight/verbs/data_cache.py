"""Listing and removing decoded images in the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysight.data import cache
from tinysight.errors import DataError


def list_cache() -> list[dict[str, Any]]:
    """One record per decoded folder: whose images, how many, of what shape, how large and where."""
    return [_record(folder) for folder in cache.cached_folders()]


def clear_cache(path: str | Path | None = None) -> dict[str, Any]:
    """Removes decoded images; a person's own files are never touched.

    Args:
        path: the folder or file whose decoded images are removed; None for all.

    Returns:
        `removed` and `in_use`, lists of records as `list_cache` gives; `num_bytes` that were freed.

    Raises:
        DataError: when nothing of `path` is in the cache.
    """
    records = list_cache()
    if path is not None:
        wanted = str(Path(path).expanduser().resolve())
        records = [record for record in records if record["data"] == wanted]
        if not records:
            raise DataError(
                f"the cache has no decoded images of '{path}'; `tinysight data cache list` shows what it has"
            )
    removed: list[dict[str, Any]] = []
    in_use: list[dict[str, Any]] = []
    for record in records:
        (removed if _remove(Path(record["path"])) else in_use).append(record)
    return {"removed": removed, "in_use": in_use, "num_bytes": sum(record["num_bytes"] for record in removed)}


def _remove(folder: Path) -> bool:
    from filelock import FileLock, Timeout

    lock = FileLock(cache.lock_path(folder))
    try:
        with lock.acquire(timeout=0):
            cache.remove(folder)
    except (Timeout, PermissionError):
        # Being decoded by another process; or, on Windows, being read by one.
        return False
    cache.lock_path(folder).unlink(missing_ok=True)
    return True


def _record(folder: Path) -> dict[str, Any]:
    index = cache.read_index(folder)
    return {
        "data": index["data"],
        "num_images": index["num_images"],
        "image_shape": index["image_shape"],
        "is_whole": index["is_whole"],
        "num_bytes": index["num_bytes"],
        "created": index["created"],
        "path": str(folder),
    }
