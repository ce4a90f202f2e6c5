"""Gradients: TensorFlow's, and central differences to compare them with."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def gradient(function, *arguments):
    """Gradients of the sum of `function(*arguments)`, one array for each argument."""
    arguments = [tf.convert_to_tensor(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        result = function(*arguments)
    return [np.asarray(g) for g in tape.gradient(result, arguments)]


def central_differences(function, argument, step=1e-6):
    """Gradient of the sum of `function`, which must compute in float64."""
    argument = np.array(argument, "float64")
    result = np.empty_like(argument)
    for index in np.ndindex(argument.shape):
        middle = argument[index]
        argument[index] = middle + step
        above = np.sum(function(argument))
        argument[index] = middle - step
        below = np.sum(function(argument))
        argument[index] = middle
        result[index] = (above - below) / (2 * step)
    return result
