"""The orders that `fit` draws of a shuffled data set."""

import keras
import tensorflow as tf

from tfrobust.compat.epochs import iterators_an_epoch
from tfrobust.compat.stack import KERAS_2


class Sees(keras.Model):
    """Tells the first number of a batch."""

    def train_step(self, data):
        return {"seen": data[0][0]}


def first_numbers(data, **fit):
    model = Sees()
    model.built = True
    model.compile()
    return model.fit(data, verbose=0, shuffle=False, **fit).history["seen"]


def shuffled():
    data = tf.data.Dataset.range(1000).shuffle(1000, seed=3).batch(1000)
    return data.map(lambda numbers: (numbers, numbers))


def test_a_data_set_that_is_advanced_goes_on_with_the_same_order():
    undisturbed = first_numbers(shuffled(), epochs=3)
    assert len(set(undisturbed)) == 3
    data = shuffled()
    for _ in range(2 * iterators_an_epoch()):
        iter(data)
    assert first_numbers(data, epochs=3, initial_epoch=2) == undisturbed[2:]


def test_the_two_generations_differ():
    assert iterators_an_epoch() == (1 if KERAS_2 else 2)
