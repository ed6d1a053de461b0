import json

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from random_predictions import predictions

from tinysight.errors import InvalidValueError, UnknownNameError
from tinysight.metrics.calibration import (
    BINNINGS,
    apply_temperature,
    fit_temperature,
    logits_of,
    reliability,
    softmax,
)
from tinysight.metrics.scores import log_losses


def sample(num_images, temperature, seed=0, num_classes=10):
    """Logits that are calibrated when divided by `temperature`, and labels drawn accordingly."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(num_images, num_classes))
    chosen = softmax(logits).cumsum(axis=1) < rng.random((num_images, 1))
    return logits * temperature, np.minimum(chosen.sum(axis=1), num_classes - 1)


@given(predictions())
def test_softmax_is_scipys_and_undone_by_logits_of(example):
    probabilities, _ = example
    np.testing.assert_allclose(softmax(logits_of(probabilities)), probabilities, atol=1e-12)
    logits = 100 * probabilities - 3
    np.testing.assert_allclose(softmax(logits), scipy.special.softmax(logits, axis=1), rtol=1e-9)


@given(predictions())
@pytest.mark.parametrize("binning", BINNINGS)
def test_bins_hold_every_image_once_and_add_up_to_the_error(binning, example):
    probabilities, labels = example
    result = reliability(probabilities, labels, binning=binning)
    confidence = probabilities.max(axis=1)
    assert sum(item.count for item in result.bins) == len(labels)
    for item in result.bins:
        assert item.count == ((item.low < confidence) & (confidence <= item.high)).sum()
        assert item.low < item.confidence <= item.high + 1e-12
        assert item.interval.low <= item.accuracy <= item.interval.high
    gaps = [abs(item.accuracy - item.confidence) for item in result.bins]
    shares = [item.count / len(labels) for item in result.bins]
    assert result.expected_error.value == pytest.approx(np.dot(gaps, shares), abs=1e-12)
    assert result.largest_error == max(gaps)
    json.dumps(result.to_dict(), allow_nan=False)


def test_bins_of_the_same_mass_hold_as_many_images_each():
    logits, labels = sample(1500, 1.0)
    result = reliability(softmax(logits), labels, num_bins=15, binning="mass")
    assert [item.count for item in result.bins] == pytest.approx([100] * 15, abs=1)


def test_sure_and_right_is_calibrated_sure_and_half_right_is_off_by_half():
    labels = np.zeros(100, int)
    assert reliability(np.eye(2)[labels], labels).expected_error.value == 0
    half = reliability(np.eye(2)[np.arange(100) % 2], labels)
    assert half.expected_error.value == half.largest_error == 0.5
    assert half.expected_error.low > 0.35


def test_a_calibrated_model_may_have_no_error_and_a_sure_one_may_not():
    logits, labels = sample(3000, 1.0)
    calibrated, sharp = (reliability(softmax(logits * factor), labels).expected_error for factor in (1, 2))
    assert calibrated.low == 0
    assert sharp.low > 0.15
    assert sharp.low < sharp.value < sharp.high


def test_the_interval_of_the_error_covers_for_calibrated_and_for_sure_models():
    """A percentile interval would cover the calibrated model's error nearly never."""
    for temperature in (1.0, 2.0):
        logits, labels = sample(100_000, temperature, seed=1)
        probabilities = softmax(logits)
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
        bins = np.searchsorted(np.linspace(0, 1, 16)[1:-1], confidence)
        truth = np.abs(np.bincount(bins, right - confidence)).sum() / len(labels)
        figures = [
            reliability(probabilities[start : start + 400], labels[start : start + 400]).expected_error
            for start in range(0, 12_000, 400)
        ]
        assert np.mean([figure.low <= truth <= figure.high for figure in figures]) >= 0.85


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(temperature):
    logits, labels = sample(20_000, temperature)
    fitted = fit_temperature(logits, labels)
    assert fitted.value == pytest.approx(temperature, rel=0.03)
    assert fitted.log_loss_after <= fitted.log_loss_before + 1e-12
    assert fitted.num_images == 20_000


@pytest.mark.parametrize("seed", range(8))
def test_no_temperature_has_a_lower_log_loss(seed):
    """Against scipy's search, on few images with wild logits, where Newton's method alone would run away."""
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_cauchy((12, 4)) * 10, rng.integers(0, 4, 12)

    def loss(log_temperature):
        scaled = logits / np.exp(log_temperature)
        return np.mean(scipy.special.logsumexp(scaled, axis=1) - scaled[np.arange(12), labels])

    fitted = fit_temperature(logits, labels)
    best = scipy.optimize.minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    assert fitted.log_loss_after <= best.fun + 1e-7
    assert fitted.log_loss_after == pytest.approx(loss(np.log(fitted.value)))


def test_perfect_and_hopeless_scores_end_at_the_bounds():
    logits, labels = np.eye(3) * 5, np.arange(3)
    assert fit_temperature(logits, labels).value == pytest.approx(0.05, rel=1e-6)
    assert fit_temperature(-logits, labels).value == pytest.approx(20, rel=1e-6)


def test_applying_what_was_fitted_lowers_the_log_loss_as_promised_and_keeps_the_classes():
    logits, labels = sample(2000, 3.0)
    probabilities = softmax(logits).astype(np.float32)
    fitted = fit_temperature(logits_of(probabilities), labels)
    cooler = apply_temperature(probabilities, fitted.value)
    assert cooler.dtype == np.float32
    assert log_losses(cooler, labels).mean() == pytest.approx(fitted.log_loss_after, rel=1e-4)
    np.testing.assert_array_equal(cooler.argmax(axis=1), probabilities.argmax(axis=1))


def test_a_temperature_of_one_changes_nothing():
    probabilities = softmax(sample(50, 1.0)[0])
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, rtol=1e-12)


def test_certainties_can_be_fitted_and_cooled():
    sure, labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 2, 1])
    fitted = fit_temperature(logits_of(sure), labels)
    assert np.isfinite(fitted.log_loss_after)
    np.testing.assert_allclose(apply_temperature(sure, 20.0).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_a_temperature_is_above_zero(temperature):
    with pytest.raises(InvalidValueError, match="above 0"):
        apply_temperature(np.full((1, 2), 0.5), temperature)


@pytest.mark.parametrize("logits", [np.ones(3), np.array([[np.nan, 1.0]]), np.ones((1, 2), int), np.empty((0, 2))])
def test_logits_that_are_none_are_refused(logits):
    with pytest.raises(InvalidValueError, match="logits are"):
        fit_temperature(logits, np.zeros(len(logits), int))


def test_wrong_bins_are_refused():
    with pytest.raises(InvalidValueError, match="num_bins is 0"):
        reliability(np.eye(2), np.arange(2), num_bins=0)
    with pytest.raises(UnknownNameError, match="did you mean 'width'"):
        reliability(np.eye(2), np.arange(2), binning="widht")
