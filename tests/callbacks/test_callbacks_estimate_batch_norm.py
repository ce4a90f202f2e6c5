"""Moving statistics estimated anew: NumPy over the images of every route, and what stays."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, augment, methods
from tfrobust.callbacks import AlternateAugmentations, EstimateBatchNorm, RestoreBest
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization

pytestmark = pytest.mark.usefixtures("eagerly")

SHAPE = (5, 4, 3)
IMAGES = np.random.default_rng(0).uniform(0.2, 0.8, [10, *SHAPE]).astype("float32")
LABELS = np.arange(10, dtype="int32") % 3
DATA = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)  # 4, 4 and 2


def net_with(norm, **dense):
    """The norm sees the images themselves."""
    layers = [norm, keras.layers.Flatten(), keras.layers.Dense(3, **dense)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def by_hand(images):
    """Mean and variance of each channel over all images."""
    values = np.asarray(images, "float64").reshape(-1, 3)
    return values.mean(axis=0), values.var(axis=0)


def assert_statistics(norm, images):
    found = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    for value, expected in zip(found, by_hand(images)):
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def rising():
    """A score that is higher each time."""
    scores = iter(range(100))
    return lambda model: next(scores)


def estimate(model, **settings):
    return EstimateBatchNorm(DATA, DATA, **{"score": rising(), **settings}).estimate(model)


@pytest.mark.parametrize("kind", [methods.Baseline, lambda net: net])
def test_statistics_are_those_of_all_images(kind):
    norm = keras.layers.BatchNormalization(momentum=0.5)
    assert estimate(kind(net_with(norm)))
    assert_statistics(norm, IMAGES)


def test_number_of_images_in_whole_batches():
    norm = keras.layers.BatchNormalization()
    estimate(methods.Baseline(net_with(norm)), images=5)
    assert_statistics(norm, IMAGES[:8])


def brighter_and_darker(**settings):
    layers = [augment.Brightness(0.2), augment.Brightness(-0.1)]
    return augment.Alternating(layers, **settings)


@pytest.mark.parametrize("settings", [{}, {"period_batches": 1}])
def test_alternatives_and_clean_images_in_thirds(settings):
    """In each batch, in turn; with every other image clean as well."""
    norm = keras.layers.BatchNormalization()
    layer = brighter_and_darker(**settings)
    assert estimate(methods.StabilityTraining(net_with(norm), augment=layer))
    seen = []
    for batch in (IMAGES[:4], IMAGES[4:8], IMAGES[8:]):
        seen += [batch[::2], batch[::2] + 0.2, batch[1::2] - 0.1]
    assert_statistics(norm, np.concatenate(seen))


def test_alternatives_alone_in_halves():
    norm = keras.layers.BatchNormalization()
    model = methods.AugmentationTraining(
        net_with(norm), augment=augment.Sequence([brighter_and_darker()]), probability=1
    )
    assert estimate(model)
    assert_statistics(norm, np.concatenate([IMAGES[::2] + 0.2, IMAGES[1::2] - 0.1]))


def test_later_norms_see_mixed_batches():
    """The first norm normalises with the statistics of the mixed batch, not with moving ones."""
    first, second = (keras.layers.BatchNormalization(epsilon=1e-5) for _ in range(2))
    layers = [first, keras.layers.ReLU(), second, keras.layers.Flatten(), keras.layers.Dense(3)]
    net = keras.Sequential([keras.Input(SHAPE), *layers])
    estimate(methods.FeatureMapAugmentation(net, augment=brighter_and_darker()), images=4)
    batch = IMAGES[:4]
    seen = np.concatenate([batch[::2], batch[::2] + 0.2, batch[1::2] - 0.1]).astype("float64")
    mean, variance = by_hand(seen)
    assert_statistics(second, np.maximum((seen - mean) / np.sqrt(variance + 1e-5), 0))


class Brighter(attacks.Attack):
    def perturb(self, net, images, labels):
        return images + 0.1


def test_each_route_gets_its_own_images():
    norm = DualBatchNormalization()
    model = methods.AugMax(net_with(norm), attack=Brighter(), augment=augment.Brightness(-0.2))
    assert estimate(model)
    assert_statistics(norm.clean, np.concatenate([IMAGES, IMAGES - 0.2]))
    assert_statistics(norm.auxiliary, IMAGES + 0.1)


def test_route_without_images_keeps_its_statistics():
    norm = DualBatchNormalization()
    estimate(methods.Baseline(net_with(norm)))
    assert_statistics(norm.clean, IMAGES)
    np.testing.assert_array_equal(norm.auxiliary.moving_mean, 0)


def test_norms_in_a_branch():
    """FCL runs the net in one branch of a condition."""
    norm = keras.layers.BatchNormalization()
    model = methods.FeatureContrastive(net_with(norm), weight=0.0, k=4)
    assert estimate(model)
    assert_statistics(norm, IMAGES)


def test_nothing_else_changes():
    """Frozen norms, weights, counters of draws and random generators stay as they are."""
    frozen = keras.layers.BatchNormalization(trainable=False)
    free = keras.layers.BatchNormalization()
    net = keras.Sequential(
        [
            keras.Input(SHAPE),
            frozen,
            free,
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    model = methods.StabilityTraining(net, augment=brighter_and_darker())
    own = {id(free.moving_mean), id(free.moving_variance)}
    others = [v for v in model.variables if id(v) not in own]
    before = [v.numpy() for v in others]
    assert len(before) >= 8 and estimate(model)
    for variable, value in zip(others, before):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert np.abs(free.moving_mean.numpy()).max() > 0.1


def test_nothing_to_estimate():
    model = methods.Baseline(net_with(keras.layers.BatchNormalization(trainable=False)))
    callback = EstimateBatchNorm(DATA, DATA)
    assert not callback.estimate(model) and callback.before is None


def test_worse_estimate_is_dropped():
    norm = keras.layers.BatchNormalization()
    model = methods.Baseline(net_with(norm))
    scores = iter([0.5, 0.4])
    callback = EstimateBatchNorm(DATA, DATA, score=lambda model: next(scores))
    assert not callback.estimate(model)
    assert (callback.before, callback.after) == (0.5, 0.4)
    np.testing.assert_array_equal(norm.moving_mean, 0)
    np.testing.assert_array_equal(norm.moving_variance, 1)
    assert estimate(model, score=lambda model: 0.5)  # not worse


def test_default_score_is_the_mean_over_clean_and_alternatives():
    """The net answers with the channel that is brightest after a shift; images are of one color."""
    images = np.zeros([4, *SHAPE], "float32")
    for i, (channel, value) in enumerate([(0, 0.05), (1, 0.5), (2, 0.5), (2, 0.5)]):
        images[i, ..., channel] = value
    mean = keras.layers.GlobalAveragePooling2D()
    norm = keras.layers.BatchNormalization(epsilon=1e-6)
    net = keras.Sequential([keras.Input(SHAPE), norm, mean, keras.layers.Dense(3)])
    net.layers[-1].set_weights([np.eye(3, dtype="float32"), np.zeros(3, "float32")])
    labels = np.array([0, 1, 2, 0])
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    layers = [augment.Brightness(-0.1), augment.Brightness(0.0)]
    model = methods.StabilityTraining(net, augment=augment.Alternating(layers))
    callback = EstimateBatchNorm(data, data, score=None)
    callback.estimate(model)
    # Clean: 3 of 4. Darker, the first is black and answered with 0 all the same: 3 of 4.
    assert callback.before == pytest.approx(0.75)


def test_in_fit_after_the_best_epoch():
    """The statistics do not depend on the weights here, but must be estimated, not restored."""
    norm = keras.layers.BatchNormalization()
    model = methods.StabilityTraining(net_with(norm), augment=brighter_and_darker())
    model.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
    best = RestoreBest("val_loss")
    callbacks = [AlternateAugmentations(), best, EstimateBatchNorm(DATA, DATA, score=rising())]
    model.fit(DATA, validation_data=DATA, epochs=2, callbacks=callbacks, verbose=0)
    mean = np.concatenate([IMAGES[::2], IMAGES[::2] + 0.2, IMAGES[1::2] - 0.1])
    assert_statistics(norm, mean)


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        norm = keras.layers.BatchNormalization()
        model = methods.Baseline(net_with(norm, dtype="float32"))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert estimate(model)
    rounded = tf.cast(tf.cast(IMAGES, tf.bfloat16), tf.float32)
    assert_statistics(norm, rounded.numpy())


def test_several_devices_and_bad_numbers():
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = methods.Baseline(net_with(keras.layers.BatchNormalization()))
        model.compile("sgd")
    callback = EstimateBatchNorm(DATA, DATA)
    with pytest.raises(ValueError, match="on one device; received one on 2"):
        model.fit(DATA, callbacks=[callback], verbose=0)
    with pytest.raises(ValueError, match=r"images must be a whole number from 1 .*received 0"):
        EstimateBatchNorm(DATA, DATA, images=0)
    twin = copy.deepcopy(EstimateBatchNorm(DATA, DATA, images=7))  # as tuners do
    assert twin.images == 7 and twin.before is None
