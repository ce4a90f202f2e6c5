"""Noisy feature mixup (NFM)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Optional

import tensorflow as tf

from tfrobust.ops import sampling

# Like `ops.compiled`, but with relaxed shapes: every mixing point of a net has maps of another
# size, and one trace serves them all. XLA still compiles one program per size.
_compiled = functools.partial(tf.function, jit_compile=True, autograph=False, reduce_retracing=True)

#: Half a step of the uniform numbers, which are multiples of 2⁻²³.
_HALF_STEP = 2.0**-24


def noisy_feature_mixup(
    values: tf.Tensor,
    seed: tf.Tensor,
    *,
    streams: int = 1,
    partner: Optional[tf.Tensor] = None,
    mixing_weight: Any = 1.0,
    additive: Any = None,
    multiplicative: Any = None,
    sparse: float = 0.0,
) -> tf.Tensor:
    """Mixes feature maps in pairs, then applies sparse noise (NoisyMix, section 3.1).

        v ← λ·v + (1 − λ)·v[partner];  v ← m ⊙ v + a
        a = additive · N(0, 1),  m = 1 + multiplicative · U(−1, 1)

    Each entry of a is 0, and each of m is 1, with probability `sparse`, independently. Nothing is
    clipped. Several views of the same images may be stacked as streams: each stream is mixed within
    itself, all with the same partners, and may have its own noise strength.

    Args:
        values: [streams·B, ...].
        seed: int32[2]; the same seed gives the same noise.
        streams: Number of views stacked in `values`.
        partner: int32 [B], a permutation of 0 to B − 1. If None, nothing is mixed.
        mixing_weight: λ in [0, 1], a scalar.
        additive: Standard deviation of the noise in a, scalar or [streams]. If None, none is added.
        multiplicative: Largest distance of m from 1, scalar or [streams]. If None, m is 1.
        sparse: Probability in [0, 1] that an entry gets no noise. The tails of the normal noise end
            at 5.3 standard deviations if it is 0, at 5.1 if it is 0.65.

    Returns:
        Tensor with the shape and dtype of `values`, computed in float32. Gradients flow to `values`
        only.

    Example:

    >>> values = tf.constant([[0.0], [1.0], [10.0], [20.0]])  # two streams of two
    >>> swapped = tf.constant([1, 0])
    >>> noisy_feature_mixup(
    ...     values, tf.constant([1, 2]), streams=2, partner=swapped, mixing_weight=0.75
    ... ).numpy().ravel()
    array([ 0.25,  0.75, 12.5 , 17.5 ], dtype=float32)
    """
    values = tf.convert_to_tensor(values)
    if sparse >= 1:
        additive = multiplicative = None
    if partner is None and additive is None and multiplicative is None:
        return values
    shape = tf.shape(values)
    size = shape[0] // streams
    # [streams·B, entries]; -1 fails for an empty batch.
    flat = tf.reshape(values, [shape[0], tf.reduce_prod(shape[1:])])

    def scale(strength: Any) -> tf.Tensor:  # [streams·B, 1]
        strength = tf.stop_gradient(tf.cast(strength, tf.float32))
        return tf.repeat(tf.broadcast_to(strength, [streams]), size)[:, tf.newaxis]

    places = inverse = adding = multiplying = None
    if partner is not None:
        places, inverse = _in_streams(partner, streams), _in_streams(tf.argsort(partner), streams)
    if additive is not None:
        draw = sampling.uniform(sampling.fold_in(seed, 0), tf.shape(flat))
        adding = scale(additive), draw
    if multiplicative is not None:
        draw = sampling.uniform(sampling.fold_in(seed, 1), tf.shape(flat))
        multiplying = scale(multiplicative), draw
    mixing_weight = tf.stop_gradient(tf.cast(mixing_weight, tf.float32))

    # The gradient of a gather would be a scatter; since the partners are a permutation, it can be
    # another gather. The noise is recomputed from its uniform numbers instead of being stored.
    @tf.custom_gradient
    def change(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # A compiled function cannot capture tensors from a branch of `tf.cond`, where the
            # forward pass may have run.
            kept = tf.nest.map_structure(
                lambda tensor: None if tensor is None else tf.identity(tensor),
                (inverse, mixing_weight, multiplying),
            )
            return _backward(upstream, *kept, sparse)

        return _forward(values, places, mixing_weight, adding, multiplying, sparse), gradient

    return tf.ensure_shape(tf.reshape(change(flat), shape), values.shape)


def _in_streams(places: tf.Tensor, streams: int) -> tf.Tensor:
    """Converts indices into a batch, [B], to indices into stacked batches, [streams·B]."""
    starts = tf.range(streams)[:, tf.newaxis] * tf.shape(places)[0]
    return tf.reshape(starts + places[tf.newaxis], [-1])


@_compiled
def _forward(
    values: tf.Tensor,
    places: Any,
    mixing_weight: tf.Tensor,
    adding: Any,
    multiplying: Any,
    sparse: float,
) -> tf.Tensor:
    result = _mixed(tf.cast(values, tf.float32), places, mixing_weight)
    if multiplying is not None:
        result *= _factor(multiplying, sparse)
    if adding is not None:
        scale, draw = adding
        quantile = (draw + (_HALF_STEP - sparse)) / (1.0 - sparse)
        quantile = tf.clip_by_value(quantile, 0.5 * _HALF_STEP, 1.0 - _HALF_STEP)
        result += tf.where(draw < sparse, 0.0, scale * tf.math.ndtri(quantile))
    return tf.cast(result, values.dtype)


@_compiled
def _backward(
    upstream: tf.Tensor, inverse: Any, mixing_weight: tf.Tensor, multiplying: Any, sparse: float
) -> tf.Tensor:
    result = tf.cast(upstream, tf.float32)
    if multiplying is not None:
        result *= _factor(multiplying, sparse)
    return tf.cast(_mixed(result, inverse, mixing_weight), upstream.dtype)


def _mixed(values: tf.Tensor, places: Any, mixing_weight: tf.Tensor) -> tf.Tensor:
    if places is None:
        return values
    return mixing_weight * values + (1.0 - mixing_weight) * tf.gather(values, places)


def _factor(multiplying: tuple[tf.Tensor, tf.Tensor], sparse: float) -> tf.Tensor:
    scale, draw = multiplying
    # One uniform number decides whether the entry is noisy and, rescaled, by how much.
    place = (draw - sparse) / (1.0 - sparse)
    return tf.where(draw < sparse, 1.0, 1.0 + scale * (2.0 * place - 1.0))
