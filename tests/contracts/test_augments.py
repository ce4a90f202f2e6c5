"""What every registered augmentation keeps, and every combination of them."""

import copy
import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import gpu_kernels
from tests.reference.augmix import smooth_images
from tfrobust import augment
from tfrobust.augment.base import StrengthAugment
from tfrobust.compat.variables import ADVANCE
from tfrobust.ops import sampling
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
FIXED = ("brightness", "exposure", "gamma", "saturation", "gaussian_blur", "jpeg", "thumbnail")
NOISY = [name for name in MAKERS if name not in FIXED]
#: They mix an image with its like where all images are alike, and draw for a whole batch.
MIXING = [n for n in AUGMENTS if AUGMENTS[n].mixes_labels]
WITH_STRENGTH = [n for n in AUGMENTS if issubclass(AUGMENTS[n], StrengthAugment)]
WITH_IDENTITY = [n for n in WITH_STRENGTH if AUGMENTS[n].identity is not None]
#: A strength near the top of the limits says nothing about images of 16 pixels, and thumbnails
#: larger than those are not made smaller.
GROWS_UP_TO = {"translation": 80.0, "pad_and_crop": 80.0}
GROWS_FROM = {"thumbnail": 16.0}
#: A flip and a box are all or nothing; a mirrored border is as unlike at any shift.
GROWS_NOT = ("flip", "random_erasing", "shifted_crop")
#: How many of five images differ at least, of those that change some of them only.
DISTINCT = {"flip": 2, "RandomApply": 2, "random_erasing": 2}


#: One of each way to draw: nothing, a number for each image, a field of noise, whole numbers, a
#: box, chances, the batch, chains of operators, one of several. What all do alike is seen on them.
DRAWING = ("gamma", "rotation", "salt_and_pepper", "translation", "patch_gaussian", "flip", "mixup")
DRAWING += ("PerImageChoice", "RandomApply")
#: Chains as AugMix's, whose programs take seconds to compile: here AugMix stands for them in the
#: quick tests, and each has a file of its own.
LIKE_AUGMIX = ("trivial_augment", "pixmix", "prime")
every_way_to_draw = pytest.mark.parametrize("name", slow_unless([*DRAWING, "augmix"], MAKERS))

#: The GPU check knows images by these height and width; one size for all, for each is compiled.
IMAGES = np.random.default_rng(0).random([5, 18, 22, 3], "float32")
IMAGES.setflags(write=False)


@pytest.fixture(params=slow_unless(set(MAKERS) - set(LIKE_AUGMIX), MAKERS))
def name(request):
    """Each augmentation."""
    return request.param


@pytest.fixture
def layer(name):
    """Each augmentation at its defaults."""
    return MAKERS[name]()


@functools.cache
def traced(name):
    """An augmentation at its defaults, and its one trace, made once for all tests."""
    layer = MAKERS[name]()
    call = tf.function(lambda images: layer(images, training=True), autograph=False)
    return layer, call, call.get_concrete_function(tf.TensorSpec(IMAGES.shape, tf.float32))


@functools.cache
def first_results(name):
    """What a new layer makes of the images in its first two calls, without a trace."""
    layer = MAKERS[name]()
    results = [layer(IMAGES, training=True).numpy() for _ in range(2)]
    for result in results:
        result.setflags(write=False)
    return results


def assert_alike(name, results, expected):
    """Equal but for the last bits of a product and a sum, which a trace may fuse.

    An operator's argument that differs so moves few values of a chain by a level.
    """
    apart = np.abs(np.asarray(results) - np.asarray(expected))
    few, far = (0.005, 0.02) if name in LIKE_AUGMIX else (0.0, 1e-5)
    assert np.mean(apart > 1e-5) <= few and apart.max() <= far


def draws_of(layer):
    """How often a layer has drawn."""
    return int(tf.convert_to_tensor(layer._draws)[0]) // ADVANCE


def test_shape_dtype_and_range(name):
    layer, images = MAKERS[name](), [IMAGES, np.zeros_like(IMAGES), np.ones_like(IMAGES)]
    before = [batch.copy() for batch in images]
    results = [*first_results(name), *(layer(tf.constant(x), training=True) for x in images[1:])]
    for result in map(np.asarray, results):
        assert result.shape == IMAGES.shape and result.dtype == np.float32
        assert result.min() >= 0 and result.max() <= 1
    np.testing.assert_array_equal(images, before)


def test_identity_when_not_training(layer):
    np.testing.assert_array_equal(layer(IMAGES), IMAGES)
    np.testing.assert_array_equal(layer(IMAGES, training=False), IMAGES)


def test_changes_images_when_training(name, layer):
    result = first_results(name)[0]
    if getattr(layer, "parameter", None) == "size":
        result = layer.with_strength(10)(IMAGES, training=True)  # 150 pixels are for images of 224
    assert np.abs(result - IMAGES).max() > 0.01


def test_images_of_any_size(layer):
    """An odd size, one image, no image."""
    for count in (1, 0):
        result = layer(tf.fill([count, 7, 9, 3], 0.3), training=True).numpy()
        assert result.shape == (count, 7, 9, 3) and result.dtype == np.float32
        assert ((result >= 0) & (result <= 1)).all()


def test_extreme_images(layer):
    """Black, white, constant, one bright pixel: finite in value and gradient."""
    extreme = np.zeros(IMAGES.shape, "float32")
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


@pytest.mark.parametrize("name", slow_unless(set(MAKERS) - {"augmix", *LIKE_AUGMIX}, MAKERS))
def test_one_pixel(layer):
    result = layer(tf.fill([1, 1, 1, 3], 0.4), training=True)
    assert result.shape == [1, 1, 1, 3] and np.isfinite(result).all()


#: The registry stays as it is, and is slow to read.
registered_kernels = functools.cache(gpu_kernels.kernels.get_registered_kernels_for_op)


def test_runs_on_a_gpu(name, monkeypatch):
    """No GPU is needed: TensorFlow says for which types it has kernels there."""
    if not tf.test.is_built_with_cuda():
        pytest.skip("this build of TensorFlow has no GPU kernels registered")
    monkeypatch.setattr(gpu_kernels.kernels, "get_registered_kernels_for_op", registered_kernels)
    assert not gpu_kernels.problems(traced(name)[2])


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


def test_call_is_draw_then_apply(name, layer):
    np.testing.assert_array_equal(layer.apply(IMAGES, layer.draw(IMAGES)), first_results(name)[0])


def test_given_seed_is_all_that_counts(layer):
    """For what is drawn, and for the images; and it is no draw of the layer's own."""
    seed = tf.constant([3, 4])
    other = type(layer).from_config({**layer.get_config(), "seed": 5})
    draws = [one.draw(IMAGES, seed) for one in (layer, other)]
    for one, same in zip(*map(tf.nest.flatten, draws)):
        np.testing.assert_array_equal(one, same)
    results = [one.apply(IMAGES, draws[0]) for one in (layer, other)]
    np.testing.assert_array_equal(*results)
    assert draws_of(layer) == 0 and not layer.trainable_weights


def test_the_number_of_a_draw_is_a_seed(name, layer):
    """As in `tf.data`, with the number of the element; nothing is counted."""
    for number in (1, 0):
        result = layer(IMAGES, training=True, seed=tf.constant(number, tf.int64))
        np.testing.assert_array_equal(result, first_results(name)[number])
    np.testing.assert_array_equal(layer(IMAGES, seed=1), first_results(name)[1])
    np.testing.assert_array_equal(layer(IMAGES, training=False, seed=1), IMAGES)
    assert draws_of(layer) == 0


@pytest.mark.parametrize(
    "name",
    slow_unless(
        [*(name for name in DRAWING if name not in MIXING), "augmix"],
        [name for name in MAKERS if name not in MIXING],
    ),
)
def test_with_a_seed_for_each_image_the_others_do_not_matter(name):
    layer = MAKERS[name]()
    call = tf.function(lambda x, seeds: layer.apply(x, layer.draw(x, seeds)), autograph=False)
    index = np.array([3, 8, 2, 2**40, 5])
    whole = call(IMAGES, sampling.image_seeds(1, "test", index)).numpy()
    chosen = [4, 1]
    part = call(IMAGES[chosen], sampling.image_seeds(1, "test", index[chosen]))
    np.testing.assert_allclose(part, whole[chosen], atol=1e-6)
    if name in NOISY:
        other = call(IMAGES, sampling.image_seeds(1, "test", index + 1))
        assert np.abs(other - whole).max() > 0
        same = call(np.repeat(IMAGES[:1], 5, 0), sampling.image_seeds(1, "test", np.arange(5)))
        least = DISTINCT.get(name, 4)
        assert len({row.tobytes() for row in same.numpy()}) >= least


def test_wrong_seeds_are_refused():
    for wrong in (0.5, [1, 2, 3], [[1, 2, 3]], [[[1, 2]]]):
        with pytest.raises(ValueError, match=r"a seed must be a whole number, .* received"):
            augment.GaussianNoise().draw(IMAGES, wrong)
    with pytest.raises(ValueError, match="Mixup draws for a whole batch"):
        augment.Mixup().draw(IMAGES, sampling.image_seeds(0, "x", np.arange(5)))


@every_way_to_draw
def test_calls_of_one_trace_differ_and_are_those_without_it(name):
    layer, call, _ = traced(name)
    layer.count_from(0)
    results = [call(tf.constant(IMAGES)).numpy() for _ in range(6)]
    assert call.experimental_get_tracing_count() == 1
    assert_alike(name, results[:2], first_results(name))
    if name in NOISY:
        # Flips of five images repeat now and then.
        assert len({result.tobytes() for result in results}) >= (4 if name == "flip" else 6)


@every_way_to_draw
def test_inside_a_tf_data_pipeline(name):
    layer, call, _ = traced(name)
    layer.count_from(0)
    (result,) = tf.data.Dataset.from_tensors(IMAGES).map(call)
    np.testing.assert_allclose(result, first_results(name)[0], atol=1e-5)


@pytest.mark.parametrize("name", NOISY)
def test_another_seed_makes_other_images(name):
    layer = MAKERS[name]()
    other = type(layer).from_config({**layer.get_config(), "seed": 1})
    assert np.abs(other(IMAGES, training=True) - first_results(name)[0]).max() > 0


@pytest.mark.parametrize("name", [name for name in NOISY if name not in MIXING])
def test_rows_of_a_batch_differ(name):
    rows = MAKERS[name]()(tf.repeat(IMAGES[:1], 5, axis=0), training=True).numpy()
    least = DISTINCT.get(name, 4)
    assert len({row.tobytes() for row in rows}) >= least


@pytest.mark.parametrize("name", WITH_STRENGTH)
def test_drawn_strengths_fill_the_declared_range(name):
    layer = AUGMENTS[name]()
    low, high = layer.limits
    pair = (low + 0.2 * (high - low), low + 0.6 * (high - low))
    ranged = layer.with_strength(pair)
    batch = tf.zeros([4000, 1, 1, 3])
    width = pair[1] - pair[0]
    twice = [ranged.draw(batch)[layer.parameter].numpy() for _ in range(2)]
    for drawn in twice:
        assert pair[0] <= drawn.min() < pair[0] + 0.01 * width
        assert pair[1] - 0.01 * width < drawn.max() <= pair[1]
        # Uniform: the mean lies within five standard errors of the middle.
        assert abs(drawn.mean() - sum(pair) / 2) < 5 * width / np.sqrt(12 * 4000)
    assert abs(np.corrcoef(*twice)[0, 1]) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("name", WITH_IDENTITY)
def test_identity_strength_is_the_identity(name):
    layer = AUGMENTS[name]()
    np.testing.assert_array_equal(
        layer.with_strength(layer.identity)(IMAGES, training=True), IMAGES
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


@pytest.mark.parametrize("name", [n for n in WITH_STRENGTH if n not in GROWS_NOT])
def test_effect_never_shrinks_over_the_whole_range(name):
    layer = AUGMENTS[name]()
    batch = smooth_images(68, 16, 16)[4:].astype("float32") / 255
    weak = GROWS_FROM.get(name, layer.weak_and_strong()[0])
    ends = [GROWS_UP_TO.get(name, end) for end in layer.limits if end != weak]
    for end in ends if name != "thumbnail" else [1.0]:
        sizes = []
        for strength in np.linspace(weak, end, 6)[1:]:
            stronger = layer.with_strength(float(strength))
            result = stronger.apply(batch, stronger.draw(batch, tf.constant([5, 6])))
            sizes.append(float(tf.reduce_mean(tf.abs(result - batch))))
        assert sizes[0] > 0 and np.diff(sizes).min() > -1e-4, sizes


@pytest.mark.parametrize("name", WITH_STRENGTH)
def test_strength_outside_its_limits_is_refused(name):
    kind = AUGMENTS[name]
    low, high = kind.limits
    for wrong, said in (
        *((wrong, repr(wrong)) for wrong in (low - 0.5, high + 0.5, float("nan"), "strong", None)),
        ((low, high + 1), repr(high + 1)),
        ((high, low), f"({high:g}, {low:g})"),
        *((wrong, repr(wrong)) for wrong in ((low,), (low, high, high))),
    ):
        for make in (kind, kind().with_strength):
            with pytest.raises(
                ValueError, match=f"{kind.parameter} must be .*; received"
            ) as raised:
                make(wrong)
            assert str(raised.value).endswith(said)


def test_config_round_trip(name, layer):
    config = layer.get_config()
    before = copy.deepcopy(config)
    again = type(layer).from_config(config)
    assert config == before  # the caller's dictionary is not changed
    assert again.get_config() == before
    np.testing.assert_array_equal(again(IMAGES, training=True), first_results(name)[0])
    whole = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(whole) is type(layer) and whole.get_config() == before


def test_every_argument_is_in_the_config(layer):
    arguments = inspect.signature(type(layer).__init__).parameters
    missing = set(arguments) - {"self", "kwargs"} - set(layer.get_config())
    assert not missing


def test_no_loop_over_images_and_no_python(name):
    """One graph for the whole batch: nothing that maps over images or leaves TensorFlow.

    AugMix's chains run in a loop over shards of many images, each in one compiled program.
    """
    definition = traced(name)[2].graph.as_graph_def()
    kinds = {node.op for node in definition.node}
    kinds |= {node.op for function in definition.library.function for node in function.node_def}
    loops = () if name in ("augmix", "trivial_augment", "pixmix") else ("While",)
    assert not {k for k in kinds if any(one in k for one in (*loops, "PyFunc", "MapDataset"))}


def two_replicas():
    return tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice()
    )


@pytest.mark.parametrize(
    "names",
    slow_unless(
        [[name for name in DRAWING if name in NOISY]],
        [[name for name in DRAWING if name in NOISY], NOISY],
    ),
    ids=["some", "all"],
)
def test_two_replicas_draw_different_numbers(names):
    """Whatever differs from one draw to the next differs between the replicas too."""
    strategy = two_replicas()
    with strategy.scope():
        layers = {name: MAKERS[name]() for name in names}
    images = tf.zeros([64, 18, 22, 3])
    draw = tf.function(
        lambda: {name: layer.draw(images) for name, layer in layers.items()}, autograph=False
    )
    draws = [strategy.run(draw) for _ in range(2)]
    for name, layer in layers.items():
        of_one, of_next = (
            [strategy.experimental_local_results(x) for x in tf.nest.flatten(d[name])]
            for d in draws
        )
        random = [
            first for first, following in zip(of_one, of_next) if np.any(first[0] != following[0])
        ]
        # One box for a batch, in whole pixels, may have the height of another.
        every = any if name == "cutmix" else all
        assert random and every(np.any(one != other) for one, other in random), name
        # Both replicas together have made two draws.
        assert draws_of(layer) == 2, name


@pytest.mark.slow
@pytest.mark.parametrize("name", NOISY)
def test_two_replicas_change_images_differently(name):
    strategy = two_replicas()
    with strategy.scope():
        layer = MAKERS[name]()
    step = tf.function(lambda: layer(tf.constant(IMAGES), training=True))
    for _ in range(2):
        first, second = strategy.experimental_local_results(strategy.run(step))
        assert np.abs(first - second).max() > 0
    assert draws_of(layer) == 2


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Every augmentation after its first call and a way through one file."""
    path = tmp_path_factory.mktemp("all") / "model.keras"
    layers = [make() for make in MAKERS.values()]
    for layer in layers:
        layer(IMAGES, training=True)
    keras.Sequential([keras.Input(IMAGES.shape[1:]), *layers]).save(path)
    return dict(zip(MAKERS, keras.models.load_model(path).layers[-len(layers) :]))


def test_saved_layer_goes_on_drawing(name, loaded):
    layer = loaded[name]
    assert type(layer) is type(MAKERS[name]())
    np.testing.assert_array_equal(layer(IMAGES, training=True), first_results(name)[1])


@pytest.mark.parametrize("name", slow_unless(DRAWING, MAKERS))
def test_height_and_width_unknown_while_tracing(name):
    layer = MAKERS[name]()
    spec = tf.TensorSpec([None, None, None, 3])
    call = tf.function(lambda x: layer(x, training=True), autograph=False, input_signature=[spec])
    assert_alike(name, call(IMAGES), first_results(name)[0])


@every_way_to_draw
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_are_converted(name, dtype):
    images = IMAGES.astype(dtype)
    result = MAKERS[name]()(images, training=True)
    assert result.dtype == tf.float32
    expected = first_results(name)[0]
    if dtype == "float16":
        expected = MAKERS[name]()(images.astype("float32"), training=True)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "batch, error, words",
    [
        (np.zeros([4, 4, 3], "float32"), ValueError, "[batch, height, width, channels]"),
        (np.zeros([1, 4, 4, 3], "uint8"), TypeError, "uint8"),
        (np.full([1, 4, 4, 3], 200.0, "float32"), ValueError, "divide 0-255 images by 255"),
        (np.full([1, 4, 4, 3], np.nan, "float32"), ValueError, "must be finite"),
    ],
)
def test_wrong_images_are_refused(layer, batch, error, words):
    with pytest.raises(error) as raised:
        layer(tf.constant(batch), training=True)
    assert words in str(raised.value)
