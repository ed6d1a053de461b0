"""A folder with one folder per class, or with train, validation and test folders that hold those."""

from __future__ import annotations

from pathlib import Path

from tinysight.data.listing import EXPECTED, SPLIT_NAMES, Item, Listing, by_split
from tinysight.data.scan import Scan, class_name, has_image_ending
from tinysight.errors import DataError

MANIFEST_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")


def read_folder(root: Path) -> Listing:
    """The images of FOLDER/CLASS/... or FOLDER/train|val|test/CLASS/...; those in folders below a class are its own.

    Raises:
        DataError: when it cannot be listed, holds no image, or its layout is in doubt; the text says what was found.
    """
    scan = Scan(root)
    folders, files = scan.entries()
    _leave_out_strays(scan, files)
    if _has_splits(scan, folders):
        layout, items = "split folders", _read_splits(scan, folders)
    else:
        layout, items = "class folders", _read_classes(scan, folders, None)
    if not items:
        found = _found(folders, files) + _links_out(scan)
        raise DataError(f"'{root}' holds no image in a class folder: found {found}; {_hint(files)}")
    if len({item.label for item in items}) == 1:
        _refuse_one_class(scan, items)
    return Listing(root=root, base=root, layout=layout, items=by_split(items), left_out=tuple(scan.left_out))


def _has_splits(scan: Scan, folders: list[str]) -> bool:
    """Whether the folders are splits rather than classes that happen to be called so ('train' beside 'car')."""
    named = {folder: SPLIT_NAMES[folder.lower()] for folder in folders if folder.lower() in SPLIT_NAMES}
    direct = [folder for folder in named if _holds_images(scan, folder)]
    if direct and len(named) == len(folders):
        raise DataError(
            f"'{scan.root}' holds images directly in {', '.join(direct)}; expected a folder per class there, as in"
            f" {direct[0]}/CLASS/*.png"
        )
    if direct or not named:
        return False
    others = [folder for folder in folders if folder not in named]
    if others:
        raise DataError(
            f"'{scan.root}' holds splits ({', '.join(named)}) beside other folders ({', '.join(others)}); expected"
            " one or the other: move them apart"
        )
    if len(set(named.values())) < len(named):
        raise DataError(f"'{scan.root}' holds a split twice: {', '.join(named)}; merge them or remove one")
    return True


def _holds_images(scan: Scan, folder: str) -> bool:
    # Another scan, so that what is left out is not noted twice.
    _, files = Scan(scan.root).entries(folder)
    return any(has_image_ending(file) for file in files)


def _read_splits(scan: Scan, folders: list[str]) -> list[Item]:
    items = []
    for folder in folders:
        classes, files = scan.entries(folder)
        _leave_out_strays(scan, files)
        items += _read_classes(scan, classes, SPLIT_NAMES[folder.lower()])
    return items


def _read_classes(scan: Scan, folders: list[str], split: str | None) -> list[Item]:
    items: list[Item] = []
    for folder in folders:
        label = class_name(folder.rsplit("/", 1)[-1])
        found = [Item(name, label, split) for name in scan.images(folder)]
        if not found:
            scan.leave_out(folder, "empty class", "holds no image")
        items += found
    return items


def _leave_out_strays(scan: Scan, files: list[str]) -> None:
    for file in files:
        if has_image_ending(file):
            scan.leave_out(file, "stray", "lies in no class folder")
        else:
            scan.leave_out(file, "other file", "is no image")


def _refuse_one_class(scan: Scan, items: list[Item]) -> None:
    folder = items[0].name.split("/", 1)[0]
    inner, _ = Scan(scan.root).entries(folder)
    hint = f"; should it be '{scan.root / folder}', which holds folders?" if len(inner) > 1 else ""
    raise DataError(
        f"'{scan.root}' holds one class, '{items[0].label}' with {len(items):,} images; expected at least two class"
        f" folders{hint}"
    )


def _found(folders: list[str], files: list[str]) -> str:
    num_images = sum(map(has_image_ending, files))
    return f"{len(folders)} folders, {num_images} images beside them and {len(files) - num_images} other files"


def _links_out(scan: Scan) -> str:
    count = sum(item.kind == "link out" for item in scan.left_out)
    return f", {count:,} links out of the folder, which are not followed: copy here what they lead to" if count else ""


def _hint(files: list[str]) -> str:
    manifests = [file for file in files if file.lower().endswith(MANIFEST_ENDINGS)]
    if len(manifests) == 1:
        return f"to use the labels in {manifests[0]}, name that file"
    return EXPECTED
