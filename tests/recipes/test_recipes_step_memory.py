"""A batch that does not fit is refused before anything is written, with one that does."""

import keras
import pytest

from tfrobust import methods, nets
from tfrobust.recipes import step_memory, training
from tfrobust.settings import Finetune

GIB = 2**30


def net_of(side):
    layers = [keras.layers.Conv2D(8, 3, padding="same"), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input([side, side, 3]), *layers, keras.layers.Dense(4)])


def test_bytes_of_the_outputs():
    """Two maps, of 3 and of 8 channels at most, eight means and four logits, of 4 bytes each."""
    inner = net_of(10)
    expected = 4 * (8 * 100 + 8 + 4)
    assert 0 <= step_memory.output_bytes(inner) - expected <= 4 * (3 * 100 + 4)
    nested = keras.Sequential([keras.Input([10, 10, 3]), inner])
    assert step_memory.output_bytes(nested) >= expected


@pytest.mark.parametrize(
    "batches, peaks, free, expected",
    [
        ((4, 16), (1 * GIB, 2 * GIB), 4 * GIB, 40),
        ((4, 16), (1 * GIB, 1 * GIB), 2 * GIB, 4 + GIB),  # no growth: nothing to fear
        ((4, 16), (2**62, 2**62), 2 * GIB, 0),
        ((4, 16), (3 * GIB, 4 * GIB), 2 * GIB, 0),
    ],
)
def test_largest_batch(batches, peaks, free, expected):
    assert step_memory.largest_batch(batches, peaks, free) == expected


def test_refused_with_the_largest_that_fits(monkeypatch, capsys):
    monkeypatch.setattr(step_memory, "free_memory", lambda: 4 * GIB)
    monkeypatch.setattr(step_memory, "output_bytes", lambda net: GIB)
    monkeypatch.setattr(step_memory, "measured", lambda method, batches: (1 * GIB, 2 * GIB))
    method = methods.Baseline(net_of(10))
    step_memory.check_step_fits(method, 40)
    with pytest.raises(ValueError, match=r"4.0 GiB\); the largest .* is 40: --batch-size 32"):
        step_memory.check_step_fits(method, 41)


def test_what_cannot_be_measured_is_not_refused(monkeypatch, capsys):
    """Layers that only the caller's program knows are unknown in the other process."""
    monkeypatch.setattr(step_memory, "output_bytes", lambda net: GIB)
    monkeypatch.setattr(step_memory, "measured", lambda method, batches: None)
    step_memory.check_step_fits(methods.Baseline(net_of(10)), 1000)
    assert "could not be measured" in capsys.readouterr().out
    monkeypatch.setattr(step_memory, "measured", lambda method, batches: (2**62, 2**62))
    with pytest.raises(ValueError, match="not even one image fits"):
        step_memory.check_step_fits(methods.Baseline(net_of(10)), 1000)


def test_small_steps_are_not_measured(monkeypatch):
    monkeypatch.setattr(step_memory, "measured", None)
    step_memory.check_step_fits(methods.Baseline(net_of(10)), 64)


def test_nothing_is_written_by_a_command_that_refuses(monkeypatch, tmp_path):
    def refuse(method, batch_size):
        raise ValueError(f"{type(method).__name__} with {batch_size}")

    monkeypatch.setattr(step_memory, "check_step_fits", refuse)
    nets.small_cnn().save(tmp_path / "model.keras")
    recipe = Finetune(model=str(tmp_path / "model.keras"), method="augmix_training", batch_size=32)
    with pytest.raises(ValueError, match="AugMixTraining with 32"):
        training.finetune(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_memory_of_a_step_is_measured():
    """It grows by the outputs for 60 images, or by more."""
    layers = [keras.layers.Conv2D(16, 3, padding="same", activation="relu") for _ in range(6)]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]
    net = keras.Sequential([keras.Input([256, 256, 3]), *layers, *head])
    first, second = step_memory.measured(methods.Baseline(net), (4, 64))
    counted = 60 * step_memory.output_bytes(net)
    assert 0.5 * counted < second - first < 20 * counted
