"""What every registered net keeps."""

import functools
import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from tests.parameters import slow_unless
from tfrobust import methods, serving
from tfrobust.layers import relu_layers
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.layers.dubin import DuBIN
from tfrobust.layers.half_instance_norm import HalfInstanceNorm
from tfrobust.layers.outputs import final_activation
from tfrobust.layers.route import ROUTES, route
from tfrobust.nets.cifar_resnet import cifar_resnet
from tfrobust.nets.lenet import lenet
from tfrobust.nets.preact_resnet import preact_resnet_18
from tfrobust.nets.resnet import resnet
from tfrobust.nets.resnet_v2 import resnet_v2
from tfrobust.nets.resnext import resnext_29
from tfrobust.nets.small_cnn import small_cnn
from tfrobust.nets.vgg import vgg_16
from tfrobust.nets.wide_resnet import wide_resnet
from tfrobust.registries import NETS

#: As users get them, but for what only costs time.
SMALLER = {
    "vgg_16": {"filters": (8, 8, 8, 8, 8), "hidden": 32},
    "resnet_50": {"input_shape": (32, 32, 3)},
    "resnet_v2_50": {"input_shape": (32, 32, 3)},
}

#: By default: height and width, classes, trainable and other weights, ReLUs. The counts are those
#: that are published, or of the authors' code (0.27, 0.46, 0.66 and 0.85 million weights in He et
#: al., 25.6 million of ResNet-50, 2,243,546 of AugMix' WRN-40-2); ResNet v2 has together the
#: 25,613,800 of Keras' ResNet50V2. All layers with weights but the last and those of shortcuts
#: have a ReLU. Not trained are mean and variance of each channel that is normalised.
PUBLISHED = {
    "resnet_18": (32, 10, 11_173_962, 9_600, 17),
    "resnet_20": (32, 10, 269_722, 1_376, 19),
    "resnet_32": (32, 10, 464_154, 2_272, 31),
    "resnet_44": (32, 10, 658_586, 3_168, 43),
    "resnet_56": (32, 10, 853_018, 4_064, 55),
    "resnet_50": (224, 1000, 25_557_032, 53_120, 49),
    "resnet_v2_50": (224, 1000, 25_568_360, 45_440, 49),
    "preact_resnet_18": (32, 10, 11_171_146 + 1_024, 6_784 + 1_024, 17),  # with the last norm
    "wrn_28_2": (32, 10, 1_467_610, 3_616, 25),
    "wrn_28_4": (32, 10, 5_849_050, 7_200, 25),
    "wrn_40_2": (32, 10, 2_243_546, 5_408, 37),
    "resnext_29": (32, 10, 6_807_882, 25_216, 28),
}

#: Every kind of net, as shallow as it goes: what holds for these holds for the registered ones,
#: which are made of the same layers.
KINDS = {
    "small_cnn": small_cnn,
    "lenet": lenet,
    "vgg_16": functools.partial(vgg_16, filters=(4, 4, 4, 6, 6), hidden=12, dropout=0.0),
    "cifar_resnet": functools.partial(cifar_resnet, 8, (16, 16, 3), filters=(4, 6, 8)),
    "resnet": functools.partial(resnet, (1, 1, 1, 1), (16, 16, 3), filters=(4, 6, 6, 8)),
    "bottlenecks": functools.partial(
        resnet, (1, 1, 1, 1), (32, 32, 3), filters=(4, 4, 4, 4), bottleneck=True, stem="imagenet"
    ),
    "preact_resnet": functools.partial(preact_resnet_18, (16, 16, 3), filters=(4, 6, 6, 8)),
    "wide_resnet": functools.partial(wide_resnet, 10, 2, (16, 16, 3), filters=(4, 4, 6)),
    "resnext": functools.partial(
        resnext_29, (16, 16, 3), filters=(4, 4, 8), cardinality=2, base_width=2
    ),
    "resnet_v2": functools.partial(resnet_v2, (2, 1, 1, 1), (32, 32, 3), filters=(4, 4, 4, 4)),
}


def seeded_and_built(make, policy, **options):
    keras.utils.set_random_seed(3)
    keras.mixed_precision.set_global_policy(policy)
    try:
        return make(**options)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@functools.cache
def built(kind, policy="float32"):
    """A shallow net for 7 classes, made once for all tests."""
    return seeded_and_built(KINDS[kind], policy, classes=7)


#: Between them they have every layer that there is; the others follow in the slow tests.
QUICK = ("small_cnn", "vgg_16", "cifar_resnet", "bottlenecks", "resnext")


@pytest.fixture(params=slow_unless(QUICK, KINDS))
def kind(request):
    return request.param


@pytest.fixture
def net(kind):
    """A net that is shared: its weights are put back after the test."""
    net = built(kind)
    before = net.get_weights()
    yield net
    net.set_weights(before)


def some_images(net, count=4):
    return np.random.default_rng(0).random([count, *net.input_shape[1:]], "float32")


def served_logits(net, folder):
    serving.export(net, folder)
    served = tf.saved_model.load(str(folder))
    # The signatures know only the weights that this object keeps alive.
    return lambda images, served=served: served.signatures["serving_default"](
        images=tf.constant(images)
    )["logits"]


def saved_and_loaded(net, folder):
    net.save(folder / "net.keras")
    return keras.models.load_model(folder / "net.keras")


# Registered nets, whole ---------------------------------------------------------------------------


def layers_of(net):
    """What a net is made of, whatever the number, the place and the width of it."""
    settings = ("kernel_size", "pool_size", "use_bias", "activation")
    return {
        (
            type(layer).__name__,
            re.sub(r"\d+", "", layer.name),
            *(str(layer.get_config().get(setting)) for setting in settings),
            layer.get_config().get("groups", 1) > 1,
        )
        for layer in net.layers
        if type(layer) is not keras.layers.InputLayer
    }


def counts(net):
    groups = (net.trainable_weights, net.non_trainable_weights)
    return tuple(sum(int(np.prod(weight.shape)) for weight in weights) for weights in groups)


#: The smallest of a family; of the deep ones the shallow kinds have every layer.
SMALLEST = (
    "small_cnn",
    "lenet",
    "vgg_16",
    "resnet_18",
    "resnet_20",
    "preact_resnet_18",
    "wrn_28_2",
)


@pytest.mark.parametrize("name", slow_unless(SMALLEST, NETS))
def test_registered_net(name):
    """Name, classes, finite logits; and no layer that the shallow nets of its module lack."""
    net = seeded_and_built(NETS[name], "float32", classes=7, **SMALLER.get(name, {}))
    assert isinstance(net, keras.Model) and net.name == name
    assert net.output_shape == (None, 7)
    assert final_activation(net) == "linear" and net.losses == []
    random = some_images(net, 1)
    logits = net(np.concatenate([0 * random, 0 * random + 1, random])).numpy()
    assert logits.shape == (3, 7) and np.isfinite(logits).all()
    assert len({row.tobytes() for row in logits}) == 3  # they depend on the image

    modules = {type(layer).__module__.split(".")[0] for layer in net.layers}
    assert modules == {"keras"}  # so that a user keeps it without the package
    alike = [
        kind
        for kind, make in KINDS.items()
        if getattr(make, "func", make).__module__ == NETS[name].__module__
    ]
    known = set().union(*(layers_of(built(kind)) for kind in alike))
    assert layers_of(net) - known == set(), f"KINDS needs a shallow net like {name}"

    if name in PUBLISHED:
        side, classes, trainable, other, relus = PUBLISHED[name]
        given = inspect.signature(NETS[name]).parameters
        assert tuple(given["input_shape"].default) == (side, side, 3)
        assert given["classes"].default == classes
        features = net.get_layer("logits").kernel.shape[0]
        assert counts(net) == (trainable - (classes - 7) * (features + 1), other)
        assert len(relu_layers(net)) == relus


def test_quick_kinds_have_every_layer():
    """Every class, and grouped convolutions."""
    found = {kind: {(layer[0], layer[-1]) for layer in layers_of(built(kind))} for kind in KINDS}
    assert set().union(*found.values()) == set().union(*(found[kind] for kind in QUICK))


@pytest.mark.parametrize("name", list(NETS))
def test_input_that_is_too_small_is_refused(name):
    with pytest.raises(ValueError, match="received"):
        NETS[name](input_shape=(1, 1, 3))


# Shallow nets of each kind ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", slow_unless(["small_cnn", "vgg_16", "cifar_resnet"], KINDS))
def test_saved_file(net, tmp_path):
    again = saved_and_loaded(net, tmp_path)
    images = some_images(net, 2)
    np.testing.assert_array_equal(net(images), again(images))


def test_one_step_changes_every_weight(net):
    before = net.get_weights()
    model = methods.Baseline(net)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    history = model.fit(some_images(net), np.arange(4), batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for weight, old, new in zip(net.weights, before, net.get_weights()):
        assert np.isfinite(new).all() and (old != new).any(), weight.name


@pytest.mark.parametrize("kind", slow_unless(["small_cnn", "resnext"], KINDS))
def test_compiled_by_xla(net):
    """And traced for batches of any size."""
    images = some_images(net, 2)
    logits = net(images).numpy()
    any_batch = tf.TensorSpec([None, *net.input_shape[1:]])
    compiled = tf.function(
        lambda images: net(images), input_signature=[any_batch], jit_compile=True, autograph=False
    )
    np.testing.assert_allclose(compiled(images), logits, rtol=0, atol=1e-4 * np.abs(logits).max())


@pytest.fixture
def any_order():
    """Lets operations sum in any order, whatever a test before has asked for."""
    asked = config.is_op_determinism_enabled()
    config.disable_op_determinism()  # TensorFlow has no public name for it
    yield
    if asked:
        tf.config.experimental.enable_op_determinism()


@pytest.mark.slow  # the contracts of methods see such a step too
def test_step_compiled_by_xla(any_order):
    """Asked for in `compile`, XLA gives the loss and the weights of the plain step.

    With deterministic operations Keras 3 refuses XLA, and XLA some gradients. The tolerance is a
    hundredth of a step, for the compiler adds in another order.
    """
    images = np.random.default_rng(0).random([4, 8, 8, 3], "float32")
    results = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(3)
        model = methods.Baseline(small_cnn((8, 8, 3), 4, filters=(4, 6)))
        model.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
        history = model.fit(images, np.arange(4), batch_size=4, verbose=0).history
        assert model.jit_compile is jit_compile
        results.append([history["loss"], *model.net.get_weights()])
    for plain, compiled in zip(*results):
        np.testing.assert_allclose(compiled, plain, rtol=1e-3, atol=1e-3)


def test_one_seed_makes_one_net_in_any_precision(kind, net):
    for one, other in zip(net.get_weights(), built(kind, "mixed_bfloat16").get_weights()):
        assert one.dtype == other.dtype == "float32"
        np.testing.assert_array_equal(one, other)


def assert_mixed_precision(net, full):
    """Weights in 32 bits, sums in 16; bfloat16 has 8 bits, and the errors of all layers add up."""
    assert {layer.compute_dtype for layer in net.layers if layer.weights} == {"bfloat16"}
    images = some_images(net, 2)
    logits = tf.cast(net(images), tf.float32).numpy()
    expected = full(images).numpy()
    assert 0 < np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()


def test_mixed_precision(kind, net):
    assert_mixed_precision(built(kind, "mixed_bfloat16"), net)


# Other norms --------------------------------------------------------------------------------------

#: What the layers of a net are, by norm; no batch norm may be left where it does not belong.
CLASSES = {
    "ibn": {keras.layers.BatchNormalization, HalfInstanceNorm},
    "dubn": {DualBatchNormalization},
    "dubin": {DualBatchNormalization, DuBIN},
}

#: Only small_cnn takes no norm.
WITH_NORMS = [kind for kind in KINDS if kind != "small_cnn"]
#: These go through everything; the other kinds differ from them in layers of Keras alone.
NORMED = [("lenet", "ibn"), ("lenet", "dubn"), ("cifar_resnet", "dubin")]


@functools.cache
def built_with_norm(kind, norm, policy="float32"):
    channels = 1 if kind == "lenet" else 3
    options = {"mean": [0.4] * channels, "std": [0.2] * channels, "weight_decay": 0.01}
    return seeded_and_built(KINDS[kind], policy, norm=norm, **options)


@pytest.fixture
def normed(request):
    """A net with other norms, in which the routes differ; its weights are put back."""
    net, random = built_with_norm(*request.param), np.random.default_rng(0)
    before = net.get_weights()
    for layer in norms_of(net):
        layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    yield net
    net.set_weights(before)


def norms_of(net):
    return [layer for layer in net.layers if type(layer) in set.union(*CLASSES.values())]


def logits_of(net, images, name):
    with route(name):
        return net(images).numpy()


every_kind = pytest.mark.parametrize(
    "normed",
    slow_unless(
        [*NORMED, ("resnet", "dubin")],
        [*NORMED, *((k, "dubin") for k in WITH_NORMS if (k, "dubin") not in NORMED)],
    ),
    indirect=True,
    ids="-".join,
)
whole_way = pytest.mark.parametrize(
    "normed",
    slow_unless([("cifar_resnet", "dubin")], NORMED),
    indirect=True,
    ids="-".join,
)


@every_kind
def test_norms_are_everywhere_and_have_two_routes(normed):
    kinds = {type(layer) for layer in norms_of(normed)}
    assert kinds in CLASSES.values()
    images = some_images(normed, 2)
    clean, auxiliary = (logits_of(normed, images, name) for name in ROUTES)
    assert np.isfinite([clean, auxiliary]).all()
    assert np.array_equal(clean, auxiliary) == (kinds == CLASSES["ibn"])


@every_kind
def test_instance_norm_is_at_the_first_norm_of_all_stages_but_the_last(normed):
    """The first of each block, where there are blocks; AugMax has it so in ResNet-18."""
    first = [x for x in norms_of(normed) if re.fullmatch(r"stage\d(_block\d)?_norm1", x.name)]
    stages = {int(layer.name[5]) for layer in first}
    assert stages == set(range(1, max(stages) + 1)) and len(stages) > 1
    wanted = {layer.name for layer in first if int(layer.name[5]) < max(stages)}
    mixed = {layer.name for layer in norms_of(normed) if isinstance(layer, HalfInstanceNorm)}
    assert mixed == (set() if normed is built_with_norm("lenet", "dubn") else wanted)


@every_kind
def test_weight_decay_is_half_the_squares(normed):
    assert len(normed.losses) == len(normed.trainable_weights)
    for weight in normed.trainable_weights:  # biases start as 0
        weight.assign(tf.random.stateless_normal(weight.shape, [1, 2]))
    squares = sum(float(np.sum(np.square(weight.numpy()))) for weight in normed.trainable_weights)
    assert sum(map(float, normed.losses)) == pytest.approx(0.005 * squares, rel=1e-5)


@every_kind
def test_one_step_reaches_every_weight_but_those_of_the_other_route(normed):
    duals = [x for x in normed._flatten_layers() if isinstance(x, DualBatchNormalization)]
    other = {id(weight) for dual in duals for weight in dual.auxiliary.weights}
    assert len(other) == 4 * len(duals)
    before = {id(weight): weight.numpy().copy() for weight in normed.weights}
    with tf.GradientTape() as tape:  # of the loss without weight decay
        loss = tf.reduce_sum(tf.square(normed(some_images(normed), training=True)))
    gradients = tape.gradient(loss, normed.trainable_variables)
    for weight, gradient in zip(normed.trainable_variables, gradients):
        if id(weight) in other:
            assert gradient is None, weight.name
        else:
            assert np.isfinite(gradient).all() and np.any(gradient), weight.name
    for weight in normed.non_trainable_variables:
        moved = not np.array_equal(weight.numpy(), before[id(weight)])
        assert moved == (id(weight) not in other), weight.name


@pytest.mark.slow
def test_export_serves_the_same_logits(net, tmp_path):
    images, served = some_images(net), served_logits(net, tmp_path / "served")
    for batch in (images, images[:1]):
        np.testing.assert_allclose(served(batch), net(batch), atol=1e-4)


@whole_way
def test_net_with_norms_is_saved_and_exported(normed, tmp_path):
    again, images = saved_and_loaded(normed, tmp_path), some_images(normed)
    for name in ROUTES:
        np.testing.assert_array_equal(
            logits_of(again, images, name), logits_of(normed, images, name)
        )
    assert len(again.losses) == len(normed.losses)
    served = served_logits(again, tmp_path / "served")(images)
    np.testing.assert_allclose(served, logits_of(normed, images, "clean"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind, norm", NORMED)
def test_mixed_precision_with_norms(kind, norm):
    full, half = built_with_norm(kind, norm), built_with_norm(kind, norm, "mixed_bfloat16")
    assert {weight.dtype for weight in half.get_weights()} == {np.dtype("float32")}
    assert_mixed_precision(half, full)
