"""Functions that are not inlined, and frozen functions without parts for XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment
from tfrobust.compat.graphs import frozen_without_xla, one_operation
from tfrobust.serving.plain_net import PlainNet


def functions_of(graph):
    return graph.as_graph_def().library.function


def test_a_function_is_kept_from_being_inlined():
    def marks(make):
        function = make(lambda x: x + 1)
        outer = tf.function(lambda x: function(2 * x)).get_concrete_function(tf.TensorSpec([]))
        assert float(outer(tf.constant(3.0))) == 7
        return [one.attr["_noinline"].b for one in functions_of(outer.graph)]

    assert marks(one_operation) == [True]
    assert marks(tf.function) == [False]


def test_a_frozen_function_has_no_part_for_xla():
    """A grouped convolution, which Keras has XLA compile."""
    layers = [keras.layers.Conv2D(4, 3, groups=2), keras.layers.Flatten(), keras.layers.Dense(2)]
    net = keras.Sequential([keras.Input([6, 6, 4]), *layers])
    plain = PlainNet(net)
    frozen = frozen_without_xla(plain.concrete)
    assert "_XlaMustCompile" in str(plain.concrete.graph.as_graph_def())
    traced = tf.function(frozen).get_concrete_function(*plain.signature)
    assert "_XlaMustCompile" not in str(traced.graph.as_graph_def())
    images = np.random.default_rng(0).random([3, 6, 6, 4], dtype="float32")
    np.testing.assert_allclose(traced(tf.constant(images)), net(images), rtol=1e-5, atol=1e-6)
    assert not traced.graph.variables


@pytest.mark.parametrize(
    "layer", [augment.Saturation(2.0), augment.SaltAndPepper(), augment.Jpeg()]
)
def test_images_of_nan_stay_so(layer):
    images = np.full([3, 8, 8, 3], 0.5, "float32")
    images[1, 2, 3, 0] = np.nan
    changed = tf.function(lambda x: layer(x, training=True))(images).numpy()
    assert [bool(np.isnan(one).any()) for one in changed] == [False, True, False]
