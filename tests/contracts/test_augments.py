"""What every registered augmentation keeps, and every combination of them."""

import copy
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import gpu_kernels
from tests.reference.augmix import smooth_images
from tfrobust import augment
from tfrobust.augment.base import StrengthAugment
from tfrobust.registries import AUGMENTS


def _two():
    return [augment.GaussianNoise(), augment.SaltAndPepper()]


COMBINED = {
    "Sequence": lambda: augment.Sequence(_two()),
    "Alternating": lambda: augment.Alternating(_two()),
    "PerImageChoice": lambda: augment.PerImageChoice(_two()),
    "RandomApply": lambda: augment.RandomApply(augment.GaussianNoise()),
}
MAKERS = {**AUGMENTS, **COMBINED}
#: Those that are not random at their defaults.
FIXED = ("brightness", "saturation", "gaussian_blur", "jpeg", "thumbnail")
NOISY = [name for name in MAKERS if name not in FIXED]
WITH_STRENGTH = [n for n in AUGMENTS if issubclass(AUGMENTS[n], StrengthAugment)]
WITH_IDENTITY = [n for n in WITH_STRENGTH if AUGMENTS[n].identity is not None]
#: A strength near the top of the limits says nothing about images of 16 pixels, and thumbnails
#: larger than those are not made smaller.
GROWS_UP_TO = {"translation": 80.0, "pad_and_crop": 80.0}
GROWS_FROM = {"thumbnail": 16.0}
#: A flip is all or nothing; a mirrored border is as unlike at any shift.
GROWS_NOT = ("flip", "shifted_crop")


@pytest.fixture(params=list(MAKERS))
def layer(request):
    """Each augmentation at its defaults."""
    return MAKERS[request.param]()


def test_shape_dtype_and_range(layer, images):
    for batch in (images, images[:1], np.zeros_like(images), np.ones_like(images)):
        before = batch.copy()
        result = layer(tf.constant(batch), training=True).numpy()
        assert result.shape == batch.shape and result.dtype == np.float32
        assert result.min() >= 0 and result.max() <= 1
        np.testing.assert_array_equal(batch, before)


def test_identity_when_not_training(layer, images):
    np.testing.assert_array_equal(layer(images), images)
    np.testing.assert_array_equal(layer(images, training=False), images)


def test_changes_images_when_training(layer, images):
    if getattr(layer, "parameter", None) == "size":
        layer = layer.with_strength(10)  # 150 pixels are for images of 224
    assert np.abs(layer(images, training=True) - images).max() > 0.01


def test_images_of_any_size(layer):
    for shape in ([1, 32, 32, 3], [2, 7, 9, 3], [0, 7, 9, 3]):
        assert layer(tf.fill(shape, 0.3), training=True).shape == shape


def test_extreme_images(layer):
    """Black, white, constant, one bright pixel: finite in value and gradient."""
    extreme = np.zeros([5, 12, 10, 3], "float32")
    extreme[1], extreme[2], extreme[3, 4, 4] = 1.0, 0.3, 1.0
    extreme[4, :, :5] = 1.0
    draws = layer.draw(extreme)
    batch = tf.constant(extreme)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        result = layer.apply(batch, draws)
    assert np.isfinite(result).all() and np.min(result) >= 0 and np.max(result) <= 1
    slope = tape.gradient(result, batch)
    assert slope is None or np.isfinite(tf.convert_to_tensor(slope)).all()


def test_one_pixel(layer):
    if getattr(layer, "kernel_size", 1) == 1:  # a kernel larger than the image is refused
        result = layer(tf.fill([3, 1, 1, 3], 0.4), training=True)
        assert result.shape == [3, 1, 1, 3] and np.isfinite(result).all()


def test_runs_on_a_gpu(layer):
    """No GPU is needed: TensorFlow says for which types it has kernels there."""
    if not tf.test.is_built_with_cuda():
        pytest.skip("this build of TensorFlow has no GPU kernels registered")
    call = tf.function(lambda x: layer(x, training=True), autograph=False)
    traced = call.get_concrete_function(tf.TensorSpec([8, 18, 22, 3], tf.float32))
    assert not gpu_kernels.problems(traced)


def test_the_check_of_gpu_kernels_finds_what_is_wrong():
    if not tf.test.is_built_with_cuda():
        pytest.skip("this build of TensorFlow has no GPU kernels registered")

    @tf.function(autograph=False)
    def inner(x):
        return tf.image.decode_png(tf.image.encode_png(tf.cast(255 * x, tf.uint8)))

    def nested(x):
        return inner(x[0])

    def whole_numbers(x):
        return tf.cast(x, tf.int32) + 1

    for function, said in ((nested, "EncodePng"), (whole_numbers, "on the host")):
        spec = tf.TensorSpec([8, 18, 22, 3], tf.float32)
        traced = tf.function(function, autograph=False).get_concrete_function(spec)
        assert any(said in problem for problem in gpu_kernels.problems(traced))


def test_same_draws_same_images(layer, images):
    draws = layer.draw(images)
    np.testing.assert_array_equal(layer.apply(images, draws), layer.apply(images, draws))
    eager = layer.apply(images, layer.draw(images, tf.constant([3, 4])))
    graph = tf.function(lambda x: layer.apply(x, layer.draw(x, tf.constant([3, 4]))))(images)
    # A trace may fuse a product and a sum, and AugMix may round to the next of 256 values.
    np.testing.assert_allclose(eager, graph, atol=1e-5)


def test_a_seed_repeats_and_another_differs(images):
    for name in NOISY:
        make = MAKERS[name]
        first, second = make(), make()
        np.testing.assert_array_equal(first(images, training=True), second(images, training=True))
        other = type(first).from_config({**first.get_config(), "seed": 1})
        assert np.abs(other(images, training=True) - make()(images, training=True)).max() > 0


def test_twenty_calls_of_one_trace_differ(images):
    for name in NOISY:
        layer = MAKERS[name]()
        call = tf.function(lambda batch, layer=layer: layer(batch, training=True))
        results = [call(tf.constant(images)).numpy() for _ in range(20)]
        assert call.experimental_get_tracing_count() == 1
        # Flips of eight images repeat now and then.
        assert len({result.tobytes() for result in results}) >= (15 if name == "flip" else 20)


def test_rows_of_a_batch_differ(images):
    same = tf.repeat(images[:1], 8, axis=0)
    for name in NOISY:
        if name != "mixup":  # which mixes an image with its like here
            rows = MAKERS[name]()(same, training=True).numpy()
            assert len({row.tobytes() for row in rows}) >= {"flip": 2, "RandomApply": 3}.get(
                name, 6
            )


@pytest.mark.parametrize("name", WITH_STRENGTH)
def test_drawn_strengths_fill_the_declared_range(name, images):
    layer = AUGMENTS[name]()
    low, high = layer.limits
    pair = (low + 0.2 * (high - low), low + 0.6 * (high - low))
    ranged = layer.with_strength(pair)
    batch = tf.zeros([4000, 1, 1, 3])
    drawn = ranged.draw(batch)[layer.parameter].numpy()
    width = pair[1] - pair[0]
    assert pair[0] <= drawn.min() < pair[0] + 0.01 * width
    assert pair[1] - 0.01 * width < drawn.max() <= pair[1]
    # Uniform: the mean lies within five standard errors of the middle.
    assert abs(drawn.mean() - sum(pair) / 2) < 5 * width / np.sqrt(12 * 4000)


@pytest.mark.parametrize("name", WITH_IDENTITY)
def test_identity_strength_is_the_identity(name, images):
    layer = AUGMENTS[name]()
    np.testing.assert_array_equal(
        layer.with_strength(layer.identity)(images, training=True), images
    )


@pytest.mark.parametrize("name", [n for n in WITH_STRENGTH if n not in GROWS_NOT])
def test_effect_grows_with_strength(name):
    layer = AUGMENTS[name]()
    batch = smooth_images(68, 16, 16)[4:].astype("float32") / 255
    weak = GROWS_FROM.get(name, layer.weak_and_strong()[0])
    # Saturation weakens below its identity of 1 and strengthens above; both grow away from it.
    ends = [GROWS_UP_TO.get(name, end) for end in layer.limits if end != weak]
    for end in ends if name != "thumbnail" else [1.0]:
        shares = (0.1, 0.3, 0.9) if name == "thumbnail" else (0.005, 0.02, 0.1)
        seed = tf.constant([5, 6])
        sizes = []
        for share in shares:
            stronger = layer.with_strength(weak + share * (end - weak))
            result = stronger.apply(batch, stronger.draw(batch, seed))
            sizes.append(float(tf.reduce_mean(tf.abs(result - batch))))
        assert 0 <= sizes[0] < sizes[1] < sizes[2] or sizes[0] <= sizes[1] == sizes[2] > 0


@pytest.mark.parametrize("name", WITH_STRENGTH)
def test_strength_outside_its_limits_is_refused(name):
    layer = AUGMENTS[name]
    low, high = layer.limits
    for wrong in (low - 1, high + 1, float("nan"), "strong", (low, high + 1), (high, low), (low,)):
        with pytest.raises(ValueError, match="received"):
            layer(wrong)


def test_config_round_trip(layer, images):
    config = layer.get_config()
    before = copy.deepcopy(config)
    again = type(layer).from_config(config)
    assert config == before  # the caller's dictionary is not changed
    assert again.get_config() == before
    np.testing.assert_array_equal(again(images, training=True), layer(images, training=True))
    whole = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(whole) is type(layer) and whole.get_config() == before


def test_every_argument_is_in_the_config(layer):
    arguments = inspect.signature(type(layer).__init__).parameters
    missing = set(arguments) - {"self", "kwargs"} - set(layer.get_config())
    assert not missing


def test_no_loop_over_images_and_no_python(layer, images):
    """One graph for the whole batch: nothing that maps over images or leaves TensorFlow."""
    call = tf.function(lambda x: layer(x, training=True)).get_concrete_function(images)
    definition = call.graph.as_graph_def()
    kinds = {node.op for node in definition.node}
    kinds |= {node.op for function in definition.library.function for node in function.node_def}
    assert not {k for k in kinds if "While" in k or "PyFunc" in k or "MapDataset" in k}


def test_two_replicas_draw_different_numbers(images):
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice()
    )
    for name in NOISY:
        with strategy.scope():
            layer = MAKERS[name]()
        step = tf.function(lambda layer=layer: layer(tf.constant(images), training=True))
        for _ in range(2):
            first, second = strategy.experimental_local_results(strategy.run(step))
            assert np.abs(first - second).max() > 0
        # Both replicas together have made two draws.
        assert int(tf.convert_to_tensor(layer._draws)) == 2


def test_saved_layer_goes_on_drawing(layer, images, tmp_path):
    model = keras.Sequential([keras.Input([16, 16, 3]), layer])
    layer(images, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    np.testing.assert_array_equal(again(images, training=True), layer(images, training=True))


def test_inside_a_tf_data_pipeline(layer, images):
    data = tf.data.Dataset.from_tensors(images).map(lambda x: layer(x, training=True))
    assert next(iter(data)).shape == images.shape


@pytest.mark.parametrize(
    "batch, error, words",
    [
        (np.zeros([4, 4, 3], "float32"), ValueError, "[batch, height, width, channels]"),
        (np.zeros([1, 4, 4, 3], "uint8"), TypeError, "uint8"),
    ],
)
def test_wrong_images_are_refused(layer, batch, error, words):
    with pytest.raises(error) as raised:
        layer(tf.constant(batch), training=True)
    assert words in str(raised.value)
