"""What `fit` and `evaluate` do under a strategy."""

import keras
import pytest
import tensorflow as tf

from tfrobust.compat.distribution import DistributedModel
from tfrobust.compat.stack import KERAS_2


def first_number(base):
    """The number that comes first where a shuffled data set is trained on under a strategy."""

    class Sees(base):
        def train_step(self, data):
            return {"seen": data[0][0]}

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    data = tf.data.Dataset.range(1000).shuffle(1000, seed=3).batch(1000)
    orders = [int(next(iter(data))[0]) for _ in range(8)]
    data = tf.data.Dataset.range(1000).shuffle(1000, seed=3).batch(1000)
    with strategy.scope():
        model = Sees()
        model.built = True
        model.compile()
    (seen,) = model.fit(data.map(lambda x: (x, x)), verbose=0, shuffle=False).history["seen"]
    return orders.index(int(seen))


@pytest.mark.skipif(KERAS_2, reason="Keras 2 does not look at a batch before training")
def test_no_order_is_lost():
    assert first_number(DistributedModel) < first_number(keras.Model)


@pytest.mark.skipif(KERAS_2, reason="Keras 2 averages nothing")
def test_numbers_are_averaged_over_workers_as_vectors(monkeypatch):
    model = DistributedModel()
    strategy = model.distribute_strategy
    logs = {"loss": tf.constant(2.0)}
    assert model.reported(logs) is logs
    with pytest.raises(ValueError, match="Invalid reduction dimension"):
        strategy.reduce("MEAN", logs["loss"], axis=0)  # what Keras does
    monkeypatch.setattr(strategy.extended, "_in_multi_worker_mode", lambda: True, raising=False)
    assert float(strategy.reduce("MEAN", model.reported(logs)["loss"], axis=0)) == 2


@pytest.mark.skipif(not KERAS_2, reason="Keras 3 has no such setting")
def test_numbers_are_not_added_up_over_workers():
    """Several machines are in tests/recipes/test_recipes_devices.py."""
    assert DistributedModel().distribute_reduction_method == "first"
    assert keras.Model().distribute_reduction_method == "auto"
