"""Draws what a run's net makes of images: where it looks, layer by layer, beside fixed kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysight.errors import ImageError
from tinysight.files import read_json
from tinysight.runs import Run, open_run
from tinysight.serving.image_paths import Found, find_images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def explain(
    path: str | Path,
    patterns: Iterable[str | Path],
    *,
    output: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Writes pictures of what the net of a run sees in images.

    For each image NUMBER-NAME-heatmap.png, NUMBER-NAME-features.png and NUMBER-NAME-classic.png, and once kernels.png.
    A net without convolutions has no features.png and no kernels.png.

    Args:
        path: a finished run's folder.
        patterns: image files, folders or patterns; see `tinysight.serving.image_paths.find_images`.
        output: the folder for the pictures; None for the run's own `explanations`.
        say: takes lines for a person.

    Returns:
        `run`, `output`, `method`, `words`, `layer`, `kernels` (a path or None) and `images`: per image its `path` and
        either `predicted`, `score` and `files`, or `error`.

    Raises:
        RunError, ModelError: when there is no finished run, or its model cannot be loaded.
        ImageError: when nothing at all was found, or nothing that was found can be read.
    """
    run = open_run(path)
    described = read_json(run.data)
    found = find_images(patterns)
    decoded = [_decode(item, tuple(described["image_shape"])) for item in found]
    if all(isinstance(item, str) for item in decoded):
        raise ImageError(f"{found[0].path}: {decoded[0]}" if len(found) == 1 else "none of the images can be read")
    folder = run.explanations if output is None else Path(output)
    return _draw(run, described["class_names"], found, decoded, folder, say)


def _decode(item: Found, image_shape: tuple[int, ...]) -> NDArray[np.uint8] | str:
    """The pixels, or the reason why there are none."""
    from tinysight.pixels import decode_image

    if item.error:
        return item.error
    height, width, channels = image_shape
    try:
        return decode_image(item.path, (height, width, channels))
    except ImageError as error:
        return str(error).removeprefix(f"{item.path}: ")


def _draw(
    run: Run,
    class_names: list[str],
    found: list[Found],
    decoded: list[NDArray[np.uint8] | str],
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    import numpy as np

    from tinysight.training.backend import choose_backend

    choose_backend()
    from tinysight.evaluation.explain import first_layer_kernels, heat_maps
    from tinysight.models.saving import load_keras_file
    from tinysight.report.explain_figures import kernels_figure
    from tinysight.report.labels import PlotFont
    from tinysight.report.plots import save

    font = PlotFont()
    model = load_keras_file(run.keras_model)
    pixels = np.stack([item for item in decoded if not isinstance(item, str)])
    probabilities = np.asarray(model.predict(pixels, batch_size=500, verbose=0))
    maps = heat_maps(model, pixels, probabilities.argmax(axis=1))
    kernels = first_layer_kernels(model)
    say(f"{maps.method}: {maps.words}")
    if kernels is not None:
        layer = font.drawable(kernels.layer, 1, "layer")
        title = f"{len(kernels.pictures)} windows of {layer}, the first layer; mid grey is no weight"
        save(kernels_figure(kernels.pictures, title), folder / "kernels.png")
    records: list[dict[str, Any]] = []
    rows = iter(range(len(pixels)))
    for number, (item, image) in enumerate(zip(found, decoded, strict=True), start=1):
        if isinstance(image, str):
            records.append({"path": item.path, "error": image})
            continue
        row = next(rows)
        said, score = int(maps.classes[row]), float(probabilities[row].max())
        name = class_names[said]
        stem = f"{number:03}-{Path(item.path).stem}"
        file_name = font.drawable(Path(item.path).name, number, "image")
        title = f"{file_name}: {font.drawable(name, said)}, {score:.4f}"
        files = _draw_image(model, image, maps.maps[row], title, maps.words, folder, stem)
        records.append({"path": item.path, "predicted": name, "score": score, "files": [str(file) for file in files]})
    return {
        "run": str(run.folder),
        "output": str(folder),
        "method": maps.method,
        "words": maps.words,
        "layer": maps.layer,
        "kernels": None if kernels is None else str(folder / "kernels.png"),
        "images": records,
    }


def _draw_image(
    model: Any, image: NDArray[np.uint8], heat: NDArray[np.float32], title: str, words: str, folder: Path, stem: str
) -> list[Path]:
    from tinysight.evaluation.explain import feature_maps
    from tinysight.report.explain_figures import classic_figure, features_figure, heat_figure
    from tinysight.report.plots import save

    layers = [(found.layer, found.values) for found in feature_maps(model, image)]
    drawn = {"heatmap": heat_figure(image, heat, title, words)}
    if layers:
        drawn["features"] = features_figure(image, layers, f"{title}: layer by layer")
    below = ", and below what the net's first layer does" if layers else ""
    drawn["classic"] = classic_figure(image, layers[0] if layers else None, f"What fixed kernels do{below}")
    files = []
    for kind, figure in drawn.items():
        files.append(folder / f"{stem}-{kind}.png")
        save(figure, files[-1])
    return files
