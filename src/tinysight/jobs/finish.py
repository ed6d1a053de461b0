"""What is written into a run folder when its training is over: models, predictions, figures, plots, the report."""

from __future__ import annotations

from typing import Any

from tinysight.data.validation import TrainingSplit
from tinysight.evaluation.predictions import Predictions, write_predictions
from tinysight.files import write_json
from tinysight.images import DataSet, spread_evenly
from tinysight.jobs.settings import Settings
from tinysight.memory import give_back_freed
from tinysight.metrics.summary import Summary
from tinysight.recipe import Recipe
from tinysight.runs import Run


def finish(
    run: Run,
    recipe: Recipe,
    data: DataSet,
    split: TrainingSplit,
    net: Any,
    environment: dict[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    """Saves the trained `net`, evaluates it and marks `run` as finished.

    Args:
        environment: as in the run's environment file, with seconds, epochs_completed and interrupted.

    Returns:
        The run's summary.

    Raises:
        ModelError: when the ONNX file gives other answers than Keras.
    """
    from tinysight.evaluation.results import predict_splits, summarize_splits
    from tinysight.export.trained import onnx_or_keras
    from tinysight.models.registry import as_saved
    from tinysight.models.saving import save_keras_file, save_pair
    from tinysight.models.serving import serving_model_of
    from tinysight.report.plots_beside import plots_beside

    with plots_beside(run, recipe.metric) as draw:
        # Functions of the training and their buffers; then what the conversion to ONNX left.
        give_back_freed()
        net = as_saved(net, recipe, data.image_shape, len(data.class_names))
        model = serving_model_of(net, recipe, data.image_shape)
        save_keras_file(model, run.keras_model)
        if settings.save_json:
            save_pair(net, run.architecture_json, run.weights_h5)
        predict = onnx_or_keras(run, recipe, data, model, settings.say)
        give_back_freed()
        splits = {"test": data.test}
        if split.validation is not None and split.validation_source != "test":
            splits["validation"] = split.validation
        predictions = predict_splits(splits, predict)
        draw(data.test, predictions["test"])
        # ONNX Runtime, with what it holds for its batches.
        del predict
        give_back_freed()
        metrics = summarize_splits(splits, predictions, seed=recipe.seed)
        write_predictions(run.predictions, predictions)
        write_json(run.metrics, {name: summary.to_dict() for name, summary in metrics.items()})
        summary = _summary(run, recipe, data, split, net, environment, metrics["test"], predictions["test"])
        if settings.report:
            from tinysight.report.render import write_report

            write_report(run, quick=True, data=data, summary=summary)
    run.finish(summary)
    return summary


def _summary(
    run: Run,
    recipe: Recipe,
    data: DataSet,
    split: TrainingSplit,
    net: Any,
    environment: dict[str, Any],
    metrics: Summary,
    predictions: Predictions,
) -> dict[str, Any]:
    accuracy = metrics.figures["accuracy"]
    return {
        "run": str(run.folder),
        "recipe": recipe.name,
        "data": data.name,
        "parameters": net.count_params(),
        "epochs": environment["epochs_completed"],
        "epoch_kept": environment["epoch_kept"],
        "interrupted": environment["interrupted"],
        "seconds": environment["seconds"],
        "test_accuracy": accuracy.value,
        "test_accuracy_interval": [accuracy.low, accuracy.high],
        "test_loss": metrics.figures["log_loss"].value,
        "num_test": len(data.test),
        "validation": split.validation_source,
        "seed": recipe.seed,
        "samples": _samples(predictions, data.class_names),
    }


def _samples(predictions: Predictions, class_names: tuple[str, ...], count: int = 3) -> list[dict[str, Any]]:
    """What the model says about a few test images, spread over the split."""
    return [
        {
            "image": index,
            "predicted": class_names[int(predictions.probabilities[index].argmax())],
            "score": float(predictions.probabilities[index].max()),
            "true": class_names[predictions.labels[index]],
        }
        for index in spread_evenly(len(predictions.labels), count).tolist()
    ]
