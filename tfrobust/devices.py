"""Distribution strategies: one device, several on one machine, several machines, a TPU."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.registries import STRATEGIES


def strategy(name: str) -> tf.distribute.Strategy:
    """Returns a distribution strategy by name.

    Create, load and compile models in its `scope()`. Batch size and learning rate are global: each
    batch is split over the devices, so that loss and weights are those of a single device. If you
    multiply the batch size by k to keep k devices busy, multiply the learning rate by k as well
    (the linear scaling rule of Goyal et al., 2017, with a warm-up for large k); this is not
    automatic.

    Args:
        name: One of `registries.STRATEGIES`.

    Returns:
        The strategy; TensorFlow's default strategy for "none".

    Raises:
        ValueError: The name is unknown, TF_CONFIG does not name the workers, or there is no TPU.

    Example:

    >>> strategy("none").num_replicas_in_sync
    1
    """
    validation.check_choice("strategy", name, tuple(STRATEGIES))
    if name == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        cpus = [f"CPU:{i}" for i in range(len(tf.config.list_logical_devices("CPU")))]
        return tf.distribute.MirroredStrategy(None if gpus else cpus)
    if name == "multiworker":
        return _multiworker()
    if name == "tpu":
        return _tpu()
    return tf.distribute.get_strategy()


def precision(mixed: bool) -> str:
    """The dtype policy of a training: bfloat16 where it is wanted and the device gains by it.

    GPUs multiply matrices of bfloat16 faster than of float32 from compute capability 8.0 on, and
    TPUs do. Others are slower with it; then it says so, and float32 is used.

    Args:
        mixed: Whether it is wanted.

    Returns:
        "mixed_bfloat16" or "float32".
    """
    if not mixed:
        return "float32"
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    new = [one.get("compute_capability", (0, 0)) >= (8, 0) for one in details]
    if tf.config.list_logical_devices("TPU") or (new and all(new)):
        return "mixed_bfloat16"
    print("mixed precision gains nothing on this device, which computes in float32 instead")
    return "float32"


@contextlib.contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """A block in which layers are made with that dtype policy."""
    before = keras.mixed_precision.global_policy().name
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _multiworker() -> tf.distribute.Strategy:
    given = os.environ.get("TF_CONFIG", "")
    try:
        workers = json.loads(given)["cluster"]["worker"]
        index = json.loads(given)["task"]["index"]
        if not 0 <= index < len(workers):
            raise ValueError("no such worker")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "strategy multiworker needs the workers in the variable TF_CONFIG, as in "
            '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}; received '
            f"{given or 'nothing'} ({error})"
        ) from error
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(f"strategy tpu needs a TPU; TensorFlow finds none ({error})") from error
    return tf.distribute.TPUStrategy(resolver)


def is_distributed(chosen: tf.distribute.Strategy) -> bool:
    """Whether a strategy is more than TensorFlow's default of one device.

    Args:
        chosen: What `strategy` returned.
    """
    with chosen.scope():
        return bool(tf.distribute.has_strategy())


def is_chief(chosen: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of its strategy that writes results.

    Args:
        chosen: What `strategy` returned.
    """
    return bool(chosen.extended.should_checkpoint)


@contextlib.contextmanager
def others_alive() -> Iterator[None]:
    """Turns TensorFlow's errors about a lost worker into one readable message.

    Raises:
        ConnectionError: Another worker was lost.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        raise ConnectionError(
            "another worker was lost; restart all workers to resume after the last completed epoch "
            f"({' '.join(error.message.split())[:200]})"
        ) from error
