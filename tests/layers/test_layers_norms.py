"""The norms against NumPy, and independence of the routes of the dual norms."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.layers.dual_batch_normalization import DualBatchNormalization, mean_batch_variance
from tfrobust.layers.dubin import DuBIN
from tfrobust.layers.half_instance_norm import HalfInstanceNorm
from tfrobust.layers.instance_normalization import InstanceNormalization
from tfrobust.layers.norms import NORMS, norm_layer
from tfrobust.layers.route import ROUTES, current_route, route

RANDOM = np.random.default_rng(0)
START = RANDOM.bit_generator.state
OURS = [InstanceNormalization, DualBatchNormalization, HalfInstanceNorm, DuBIN]


@pytest.fixture(autouse=True)
def same_numbers():
    """Independent of the tests that run before."""
    RANDOM.bit_generator.state = START


def features(*shape):
    """Features whose channels differ in mean and variance."""
    channels = np.arange(1, shape[-1] + 1)
    return (channels * RANDOM.normal(size=shape) + 3 * channels).astype("float32")


def randomise(layer):
    """Sets every weight to random values ≥ 0, since some are variances."""
    layer.set_weights([0.5 + RANDOM.random(w.shape, "float32") for w in layer.get_weights()])
    return layer


def built(cls, shape, **kwargs):
    layer = cls(**kwargs)
    layer.build((None, *shape))
    return randomise(layer)


def instance_norm(x, gamma, beta, epsilon=1e-5):
    x = x.astype("float64")
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def batch_norm(x, gamma, beta, mean=None, variance=None, epsilon=1e-5):
    x = x.astype("float64")
    mean = x.mean((0, 1, 2)) if mean is None else mean
    variance = x.var((0, 1, 2)) if variance is None else variance
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def forward(layer, x, name, training=False):
    with route(name):
        return np.asarray(layer(x, training=training))


def same(values, others):
    return all(np.array_equal(a, b) for a, b in zip(values, others))


# Routes ----------------------------------------------------------------------------------------


def test_route_is_clean_unless_said_and_comes_back():
    assert ROUTES == ("clean", "auxiliary") and current_route() == "clean"
    with route("auxiliary"):
        with route("clean"):
            assert current_route() == "clean"
        assert current_route() == "auxiliary"
        with pytest.raises(RuntimeError), route("clean"):
            raise RuntimeError
        assert current_route() == "auxiliary"
    assert current_route() == "clean"


def test_unknown_route():
    message = "clean, auxiliary; received 'adversarial'"
    with pytest.raises(ValueError, match=message), route("adversarial"):
        pass
    assert current_route() == "clean"


def test_each_thread_has_its_own_route():
    seen = []
    with route("auxiliary"):
        thread = threading.Thread(target=lambda: seen.append(current_route()))
        thread.start()
        thread.join()
    assert seen == ["clean"]


def test_a_trace_keeps_the_route_it_was_traced_in():
    layer = built(DualBatchNormalization, [3, 3, 2])
    x = features(4, 3, 3, 2)
    inside = {}
    for name in ROUTES:

        @tf.function
        def run(images, name=name):
            with route(name):
                return layer(images)

        inside[name] = run(x)
    assert not np.allclose(inside["clean"], inside["auxiliary"])
    np.testing.assert_allclose(inside["auxiliary"], forward(layer, x, "auxiliary"), rtol=1e-5)

    around = tf.function(lambda images: layer(images))
    around(x)
    with route("auxiliary"):  # too late, as the docstring says
        np.testing.assert_allclose(around(x), inside["clean"], rtol=1e-5)


# Instance norm ---------------------------------------------------------------------------------


def test_instance_norm_by_hand():
    """Channel 0 holds 1, 3: mean 2, √(1 + 0.44) = 1.2. Channel 1 is constant and becomes beta."""
    layer = InstanceNormalization(epsilon=0.44)
    layer.build((None, 1, 2, 2))
    layer.set_weights([np.float32([2.4, 5]), np.float32([10, -1])])
    outputs = layer(tf.constant([[[[1.0, 7.0], [3.0, 7.0]]]]))
    np.testing.assert_allclose(outputs, [[[[8, -1], [12, -1]]]], rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 7, 9, 5), (1, 1, 1, 3), (3, 1, 8, 1), (0, 4, 4, 2)])
def test_instance_norm_matches_numpy(shape):
    x = features(*shape)
    layer = built(InstanceNormalization, shape[1:])
    gamma, beta = layer.get_weights()
    want = instance_norm(x, gamma, beta)
    for run in (layer, tf.function(layer), tf.function(layer, jit_compile=shape[0] > 0)):
        np.testing.assert_allclose(run(x), want, rtol=1e-3, atol=1e-4)


def test_instance_norm_matches_keras():
    x = features(3, 6, 5, 4)
    theirs = keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)
    theirs.build(x.shape)
    layer = built(InstanceNormalization, x.shape[1:])
    theirs.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_instance_norm_matches_tensorflow_addons():
    addons = pytest.importorskip("tensorflow_addons")
    x = features(3, 6, 5, 4)
    theirs = addons.layers.InstanceNormalization(epsilon=1e-5)
    theirs.build(x.shape)
    layer = built(InstanceNormalization, x.shape[1:])
    theirs.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_instance_norm_does_not_see_brightness_contrast_or_the_rest_of_the_batch():
    x = features(4, 6, 6, 3)
    layer = built(InstanceNormalization, x.shape[1:])
    scale, offset = RANDOM.uniform(2, 3, [2, 4, 1, 1, 3]).astype("float32")
    np.testing.assert_allclose(layer(scale * x + offset), layer(x), atol=2e-4)
    np.testing.assert_allclose(layer(x)[1:2], layer(x[1:2]), atol=1e-5)


def test_instance_norm_needs_pixels():
    with pytest.raises(ValueError, match=r"over pixels.*received input shape \(4, 3\)"):
        InstanceNormalization()(tf.zeros([4, 3]))
    with pytest.raises(ValueError, match="other than the batch; received axis 0"):
        InstanceNormalization(axis=0)(tf.zeros([4, 2, 2, 3]))


# Dual batch norm -------------------------------------------------------------------------------


def test_dual_norm_by_hand():
    """With mean 2 the moving mean goes from 0 to 0.2; the other norm does not change."""
    layer = DualBatchNormalization()
    outputs = forward(layer, tf.constant([1.0, 3.0], shape=[2, 1, 1, 1]), "auxiliary", True)
    np.testing.assert_allclose(outputs.ravel(), [-1, 1], rtol=2e-5)
    np.testing.assert_allclose(layer.auxiliary.moving_mean, [0.2], rtol=1e-6)
    assert [float(w[0]) for w in layer.clean.get_weights()] == [1, 0, 0, 1]


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("cls", [DualBatchNormalization, DuBIN])
def test_dual_norms_match_numpy(cls, name):
    x = features(6, 5, 7, 6)
    layer = built(cls, x.shape[1:])
    dual = getattr(layer, "batch_norm", layer)
    gamma, beta, mean, variance = getattr(dual, name).get_weights()
    split = 6 - len(gamma)
    first = [] if split == 0 else layer.instance_norm.get_weights()
    head = [instance_norm(x[..., :split], *first)] if first else []
    for training in (False, True):
        statistics = () if training else (mean, variance)
        want = [*head, batch_norm(x[..., split:], gamma, beta, *statistics)]
        outputs = forward(layer, x, name, training)
        np.testing.assert_allclose(outputs, np.concatenate(want, -1), rtol=1e-3, atol=1e-3)
    moved = getattr(dual, name).get_weights()[2]
    want = 0.9 * mean + 0.1 * x[..., split:].mean((0, 1, 2))
    np.testing.assert_allclose(moved, want, rtol=1e-5)


@pytest.mark.parametrize("name, other", [ROUTES, ROUTES[::-1]])
@pytest.mark.parametrize("cls", [DualBatchNormalization, DuBIN])
def test_training_one_route_leaves_the_other_alone(cls, name, other):
    layer = built(cls, [4, 4, 6])
    dual = getattr(layer, "batch_norm", layer)
    before = {r: getattr(dual, r).get_weights() for r in ROUTES}
    optimizer = keras.optimizers.SGD(0.1)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape, route(name):
            loss = tf.reduce_mean(tf.square(layer(x, training=True) - x))
        weights = getattr(dual, name).trainable_variables
        everything = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(tape_gradients(everything, layer, weights), weights))
        return [g is None for g in everything]

    unused = step(features(8, 4, 4, 6))
    assert sum(bool(u) for u in unused) == 2  # scale and offset of the other route
    assert same(before[other], getattr(dual, other).get_weights())
    changed = zip(before[name], getattr(dual, name).get_weights())
    assert all(not np.allclose(a, b) for a, b in changed)


def tape_gradients(gradients, layer, weights):
    places = {id(weight): g for weight, g in zip(layer.trainable_variables, gradients)}
    return [places[id(weight)] for weight in weights]


def test_each_route_is_a_batch_norm_of_keras():
    """Interleaved steps through both routes end where two separate batch norms end."""
    layer = DualBatchNormalization(momentum=0.7, epsilon=1e-3)
    plain = {r: keras.layers.BatchNormalization(momentum=0.7, epsilon=1e-3) for r in ROUTES}
    for name in ["clean", "auxiliary", "auxiliary", "clean", "auxiliary"]:
        x = features(2, 3, 3, 4)
        outputs = forward(layer, x, name, training=True)
        np.testing.assert_array_equal(outputs, plain[name](x, training=True))
    for name in ROUTES:
        assert same(getattr(layer, name).get_weights(), plain[name].get_weights())
    x = features(2, 3, 3, 4)
    np.testing.assert_array_equal(layer(x), plain["clean"](x))


# Half of the channels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instance_fraction, channels, first", [(0.5, 8, 4), (0.5, 7, 3), (0.25, 6, 1)]
)
def test_dubin_sends_the_first_channels_to_instance_norm(instance_fraction, channels, first):
    x = features(5, 4, 4, channels)
    layer = built(DuBIN, x.shape[1:], instance_fraction=instance_fraction)
    assert layer.part_sizes(channels) == [first, channels - first]
    for name in ROUTES:
        outputs = forward(layer, x, name)
        part = layer.instance_norm(x[..., :first])
        np.testing.assert_allclose(outputs[..., :first], part, rtol=1e-5, atol=1e-5)
        rest = getattr(layer.batch_norm, name)(x[..., first:])
        np.testing.assert_allclose(outputs[..., first:], rest, rtol=1e-5, atol=1e-5)
    clean, auxiliary = (forward(layer, x, name) for name in ROUTES)
    np.testing.assert_array_equal(clean[..., :first], auxiliary[..., :first])
    assert not np.isclose(clean[..., first:], auxiliary[..., first:]).all(axis=(0, 1, 2)).any()


def test_ibn_is_half_instance_half_batch_norm():
    x = features(5, 4, 4, 6)
    layer = built(HalfInstanceNorm, x.shape[1:])
    gamma, beta, mean, variance = layer.batch_norm.get_weights()
    want = [instance_norm(x[..., :3], *layer.instance_norm.get_weights())]
    want.append(batch_norm(x[..., 3:], gamma, beta, mean, variance))
    np.testing.assert_allclose(layer(x), np.concatenate(want, -1), rtol=1e-3, atol=1e-3)
    assert type(layer.batch_norm) is keras.layers.BatchNormalization


@pytest.mark.parametrize("cls", [HalfInstanceNorm, DuBIN])
def test_too_few_channels_for_two_parts(cls):
    with pytest.raises(ValueError, match=r"received 1 channels with instance_fraction 0\.5"):
        cls()(tf.zeros([2, 4, 4, 1]))
    with pytest.raises(ValueError, match="received 4 channels with instance_fraction 1"):
        cls(instance_fraction=1)(tf.zeros([2, 4, 4, 4]))
    with pytest.raises(ValueError, match=r"instance_fraction must be a number in \[0, 1\]"):
        cls(instance_fraction=2)


# All of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", OURS)
def test_config_round_trip(cls):
    options = {"axis": 1, "epsilon": 0.01, "center": False, "gamma_regularizer": "l2"}
    if cls is not InstanceNormalization:
        options.update(momentum=0.5, synchronized=False)
    if issubclass(cls, HalfInstanceNorm):
        options["instance_fraction"] = 0.25
    layer = cls(**options, name="norm", trainable=False)
    again = cls.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    for name, value in options.items():
        if name != "gamma_regularizer":
            assert getattr(again, name) == value
    assert type(again.gamma_regularizer) is keras.regularizers.L2
    assert again.name == "norm" and again.trainable is False


@pytest.mark.parametrize("cls", OURS)
def test_channels_first(cls):
    """The first axis after the batch normalises what the last axis does, transposed."""
    x = features(3, 4, 5, 6)
    last, first = built(cls, [4, 5, 6]), cls(axis=1)
    first.build((None, 6, 4, 5))
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(
        np.transpose(first(np.transpose(x, [0, 3, 1, 2])), [0, 2, 3, 1]), last(x), atol=1e-4
    )


@pytest.mark.parametrize("cls", OURS)
def test_wrong_arguments(cls):
    with pytest.raises(ValueError, match="epsilon must be a number"):
        cls(epsilon=0)
    with pytest.raises(ValueError, match="axis must be a whole number"):
        cls(axis=1.5)
    with pytest.raises(ValueError, match="known number of channels"):
        cls()(keras.Input([4, 4, None]))


@pytest.mark.parametrize("cls", OURS)
@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_constant_images_have_finite_gradients(cls, value):
    layer = cls()
    for name in ROUTES:
        for shape in ([2, 4, 4, 4], [1, 1, 1, 2]):
            x = tf.fill(shape, value)
            layer = cls()
            with tf.GradientTape() as tape, route(name):
                tape.watch(x)
                y = layer(x, training=True)
                loss = tf.reduce_sum(y * tf.reshape(tf.range(float(tf.size(x))), shape))
            for tensor in [y, *tape.gradient(loss, [x, *used(layer, name)])]:
                assert np.isfinite(tensor).all()


def used(layer, name):
    """The trainable weights that one route goes through."""
    other = "auxiliary" if name == "clean" else "clean"
    dual = getattr(layer, "batch_norm", layer)
    unused = getattr(dual, other).trainable_variables if hasattr(dual, other) else []
    ids = {id(weight) for weight in unused}
    return [
        weight if isinstance(weight, tf.Variable) else weight.value
        for weight in layer.trainable_variables
        if id(weight) not in ids
    ]


@pytest.mark.parametrize("cls", [DualBatchNormalization, DuBIN])
def test_frozen_norm_is_in_inference_mode(cls):
    for layer in (built(cls, [4, 4, 4], trainable=False), built(cls, [4, 4, 4])):
        layer.trainable = False
        x, before = features(3, 4, 4, 4), layer.get_weights()
        np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
        assert same(before, layer.get_weights()) and layer.trainable_weights == []
        layer.trainable = True
        assert len(layer.trainable_weights) == (6 if cls is DuBIN else 4)


@pytest.mark.parametrize("norm, weights", [("bn", 2), ("ibn", 4), ("dubn", 4), ("dubin", 6)])
def test_regularizer_of_every_scale_and_offset(norm, weights):
    layer = norm_layer(norm, mixed=True, regularizer=keras.regularizers.L2(0.5))
    layer.build((None, 4, 4, 4))
    randomise(layer)
    assert len(layer.losses) == len(layer.trainable_weights) == weights
    want = sum(0.5 * float(tf.reduce_sum(tf.square(w))) for w in layer.trainable_weights)
    np.testing.assert_allclose(sum(float(loss) for loss in layer.losses), want, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("cls", OURS)
def test_sixteen_bits(cls, policy):
    """Weights and statistics stay float32; outputs are rounded float32 results."""
    x = features(4, 8, 8, 4)
    full = built(cls, x.shape[1:])
    layer = cls(dtype=policy)
    rounded = tf.cast(x, policy[len("mixed_") :])
    layer.build(x.shape)
    layer.set_weights(full.get_weights())
    for name in ROUTES:
        with route(name):
            outputs = layer(rounded, training=True)
            want = full(tf.cast(rounded, tf.float32), training=True)
        assert outputs.dtype == rounded.dtype
        np.testing.assert_allclose(tf.cast(outputs, tf.float32), want, rtol=0.01, atol=0.02)
    assert {np.dtype(w.dtype) for w in layer.get_weights()} == {np.dtype("float32")}
    assert same_to(1e-3, layer.get_weights(), full.get_weights())


def same_to(tolerance, values, others):
    return all(np.allclose(a, b, rtol=tolerance) for a, b in zip(values, others))


# In nets ---------------------------------------------------------------------------------------


def net_with(norm):
    inputs = keras.Input([8, 8, 3])
    x = keras.layers.Conv2D(6, 3, name="conv1")(inputs)
    x = keras.layers.ReLU()(norm_layer(norm, mixed=True, name="norm1")(x))
    x = keras.layers.Conv2D(5, 3, name="conv2")(x)
    x = keras.layers.ReLU()(norm_layer(norm, name="norm2")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def test_norms_by_name():
    classes = {n: tuple(type(norm_layer(n, mixed=m)) for m in (False, True)) for n in NORMS}
    plain = keras.layers.BatchNormalization
    assert classes == {
        "bn": (plain, plain),
        "ibn": (plain, HalfInstanceNorm),
        "dubn": (DualBatchNormalization, DualBatchNormalization),
        "dubin": (DualBatchNormalization, DuBIN),
    }
    for norm in NORMS:
        layer = norm_layer(norm, mixed=True, epsilon=0.01, name="norm1")
        assert (layer.name, layer.epsilon, layer.momentum) == ("norm1", 0.01, 0.9)
    with pytest.raises(ValueError, match="norm must be one of bn, ibn, dubn, dubin; received 'in'"):
        norm_layer("in")


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the route not taken
def test_fit_save_and_load(tmp_path):
    """With DuBIN, which contains the other norms."""
    net = net_with("dubin")
    x, y = RANDOM.random([8, 8, 8, 3], "float32"), np.arange(8) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile("sgd", loss, run_eagerly=True)
    net.fit(x, y, batch_size=4, epochs=1, verbose=0)
    randomise(net)
    net.save(tmp_path / "net.keras")
    net.save_weights(tmp_path / "net.weights.h5")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    other = net_with("dubin")
    other.load_weights(tmp_path / "net.weights.h5")
    for name in ROUTES:
        for again in (loaded, other):
            np.testing.assert_array_equal(forward(net, x, name), forward(again, x, name))
    assert not np.allclose(forward(net, x, "clean"), forward(net, x, "auxiliary"))
    np.testing.assert_allclose(net.predict(x, verbose=0), forward(net, x, "clean"), rtol=1e-4)


def test_compiled_by_xla():
    net = randomise(net_with("dubin"))
    x = RANDOM.random([4, 8, 8, 3], "float32")
    for name in ROUTES:

        def run(images, name=name):
            with route(name):
                return net(images, training=False)

        compiled = tf.function(run, jit_compile=True)(x)
        np.testing.assert_allclose(compiled, forward(net, x, name), rtol=1e-4, atol=1e-4)


def test_two_devices_take_the_route():
    """Two replicas with the same batch update the statistics like one device."""
    other, name = ROUTES  # the clean one they would take anyway
    x = features(4, 3, 3, 4)
    results = {}
    for devices in (1, 2):
        strategy = tf.distribute.MirroredStrategy(
            [f"/cpu:{i}" for i in range(devices)], tf.distribute.ReductionToOneDevice()
        )
        with strategy.scope():
            inputs = keras.Input([3, 3, 4])
            net = keras.Model(inputs, DuBIN(name="norm")(inputs))
        dual = net.get_layer("norm").batch_norm
        seen = []

        def replica(images, net=net, seen=seen):
            with route(name):
                seen.append(current_route())
                return net(images, training=True)

        @tf.function
        def step(images, strategy=strategy, replica=replica):
            return strategy.run(replica, args=(images,))

        data = tf.data.Dataset.from_tensor_slices(np.concatenate([x] * devices))
        for batch in strategy.experimental_distribute_dataset(data.batch(4 * devices)):
            step(batch)
        assert seen == [name] * devices
        results[devices] = getattr(dual, name).get_weights()
        assert same(getattr(dual, other).get_weights(), [np.full(2, v) for v in (1, 0, 0, 1)])
        assert mean_batch_variance(net)[other] == 1 != mean_batch_variance(net)[name]
    assert same_to(1e-5, results[1], results[2])
    assert np.abs(results[1][2]).min() > 0.1


# AugMax, Table 1 -------------------------------------------------------------------------------


def test_mean_batch_variance_by_hand():
    """Variances 1, 2 | 3 in one norm and 4 in another: (1.5 + 4) / 2 and so on."""
    first, second = DuBIN(name="first"), DualBatchNormalization(name="second")
    inner = keras.Sequential([keras.Input([2, 2, 4]), first])
    conv = keras.layers.Conv2D(1, 1)
    net = keras.Sequential([keras.Input([2, 2, 4]), inner, conv, second])
    first.batch_norm.clean.moving_variance.assign([1.0, 2.0])
    first.batch_norm.auxiliary.moving_variance.assign([3.0, 5.0])
    second.clean.moving_variance.assign([4.0])
    second.auxiliary.moving_variance.assign([8.0])
    assert mean_batch_variance(net) == {"clean": 2.75, "auxiliary": 6.0}
    assert mean_batch_variance(first) == {"clean": 1.5, "auxiliary": 4.0}
    assert mean_batch_variance(second) == {"clean": 4.0, "auxiliary": 8.0}


def test_mean_batch_variance_counts_a_shared_norm_once():
    shared, other = DualBatchNormalization(), DualBatchNormalization()
    inputs = keras.Input([2, 2, 3])
    net = keras.Model(inputs, other(shared(shared(inputs))))
    shared.clean.moving_variance.assign([7.0] * 3)
    assert mean_batch_variance(net) == {"clean": 4.0, "auxiliary": 1.0}


def test_mean_batch_variance_of_a_net_without_dual_norms():
    with pytest.raises(ValueError, match="has no dual norms"):
        mean_batch_variance(net_with("bn"))
