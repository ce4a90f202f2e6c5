"""Replacement of the batch norms of a net."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Union

import keras

from tfrobust import validation
from tfrobust.compat.layers import every_layer, is_graph
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.layers.half_instance_norm import HalfInstanceNorm
from tfrobust.layers.norms import NORMS, norm_class
from tfrobust.nets.copying import copied

BatchNorm = keras.layers.BatchNormalization


def convert_norms(
    net: keras.Model,
    norm: str,
    *,
    mixed: Union[str, Iterable[str], Callable[[Any], bool]] = (),
) -> keras.Model:
    """Copies a net and replaces its BatchNormalization layers by other norms.

    The new norms start from the weights of the old ones. Both routes of a dual norm get a copy of
    the batch norm; instance norm gets the scales and offsets of its channels, and batch norm the
    rest. So a net converted to "dubn" has the outputs of the original on both routes until it is
    trained further. Names, epsilon, momentum, axis, regularizers and `trainable` are kept, and so
    are all other layers and their weights, nested models included.

    Args:
        net: Functional or Sequential model with `keras.layers.BatchNormalization` layers; of a
            method its net.
        norm: "dubn" (dual batch norm), "dubin" (dual batch and instance norm), "ibn" (batch and
            instance norm) or "bn" (a plain copy).
        mixed: The BatchNormalization layers that get instance norm for half of their channels, for
            "dubin" and "ibn": names, or a predicate of the layer. These two have no default,
            because the blocks of a net cannot be detected. AugMax uses the first norm of each
            residual block in all stages but the last; never use the last norm before the
            classifier. Other norms ignore the argument, but the names must exist.

    Returns:
        A new, uncompiled model of the same kind.

    Raises:
        TypeError: `net` is not a Keras model.
        ValueError: The net is not functional or Sequential, has no BatchNormalization or one that
            cannot be replaced, or `mixed` is empty or names an unknown layer.

    Example:

    >>> layers = keras.layers
    >>> net = keras.Sequential(
    ...     [
    ...         keras.Input([32, 32, 3]),
    ...         layers.Conv2D(8, 3),
    ...         layers.BatchNormalization(name="norm1"),
    ...         layers.ReLU(),
    ...         layers.Conv2D(8, 3),
    ...         layers.BatchNormalization(name="norm2"),
    ...     ]
    ... )
    >>> converted = convert_norms(net, "dubin", mixed=["norm1"])
    >>> [type(converted.get_layer(name)).__name__ for name in ("norm1", "norm2")]
    ['DuBIN', 'DualBatchNormalization']
    """
    validation.check_choice("norm", norm, NORMS)
    net = getattr(net, "net", net)
    _check_net(net)
    is_mixed = _mixed_places(_batch_norms(net), norm, mixed)

    def replacement(layer: Any) -> Any:
        if not isinstance(layer, BatchNorm):
            return None
        new_class = norm_class(norm, mixed=is_mixed(layer))
        return None if new_class is BatchNorm else new_class(**_settings(layer))

    return copied(net, replacement, _copy_statistics)


def _check_net(net: Any) -> None:
    is_other = isinstance(net, keras.Model) and not isinstance(net, keras.Sequential)
    if is_other and not is_graph(net):
        raise ValueError(
            f"net must be a functional or Sequential model; received a {type(net).__name__}"
        )
    validation.check_net(net)


def _batch_norms(net: Any) -> list[Any]:
    """The distinct layers to replace, nested models included; raises if one is hidden."""
    found: dict[int, Any] = {}
    for layer in getattr(net, "layers", ()):
        if is_graph(layer):
            found.update((id(inner), inner) for inner in _batch_norms(layer))
        elif isinstance(layer, BatchNorm):
            found[id(layer)] = layer
        elif any(isinstance(inner, BatchNorm) for inner in every_layer(layer)):
            raise ValueError(
                "BatchNormalization can be replaced where it is a layer of a functional or "
                f"Sequential model; {layer.name!r} ({type(layer).__name__}) holds one inside"
            )
    return list(found.values())


def _mixed_places(batch_norms: list[Any], norm: str, mixed: Any) -> Callable[[Any], bool]:
    names = [layer.name for layer in batch_norms]
    if not names:
        raise ValueError("the net has no BatchNormalization layer to replace")
    if callable(mixed):
        chosen = {id(layer) for layer in batch_norms if mixed(layer)}
    else:
        wanted = [mixed] if isinstance(mixed, str) else list(mixed)
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise ValueError(
                f"mixed must name BatchNormalization layers of the net ({', '.join(names)}); "
                f"received {unknown[0]!r}"
            )
        chosen = {id(layer) for layer in batch_norms if layer.name in wanted}
    if norm in ("ibn", "dubin") and not chosen:
        raise ValueError(
            f"norm {norm!r} needs mixed, the BatchNormalization layers that get instance norm "
            f"(AugMax: the first of each block, but not in the last stage); choose from: "
            f"{', '.join(names)}"
        )
    return lambda layer: id(layer) in chosen


def _settings(layer: Any) -> dict[str, Any]:
    """Arguments with which a new norm normalises like a BatchNormalization layer."""
    # After building, Keras 2 stores a wrapped list of axes.
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    special = [
        name
        for name in ("beta_constraint", "gamma_constraint", "renorm", "virtual_batch_size")
        if getattr(layer, name, None)
    ]
    special += ["several axes"] if len(axes) > 1 else []
    special += [type(layer).__name__] if type(layer) is not BatchNorm else []
    if special:
        raise ValueError(
            "only plain BatchNormalization can be replaced, without constraints or batch "
            f"renormalisation and along one axis; {layer.name!r} has {', '.join(special)}"
        )
    same = ("name", "trainable", "epsilon", "momentum", "center", "scale", "synchronized")
    return {
        **{name: getattr(layer, name) for name in same},
        "axis": axes[0],
        "beta_regularizer": layer.beta_regularizer,
        "gamma_regularizer": layer.gamma_regularizer,
        "dtype": layer.dtype_policy,
    }


def _copy_statistics(old: Any, new: Any) -> None:
    """Gives a new norm the weights of a batch norm, statistics included."""
    values, batch_norm = old.get_weights(), new
    if isinstance(new, HalfInstanceNorm):
        split, _ = new.part_sizes(len(values[-1]))
        new.instance_norm.set_weights([value[:split] for value in values[:-2]])  # no statistics
        values = [value[split:] for value in values]
        batch_norm = new.batch_norm
    if isinstance(batch_norm, DualBatchNormalization):
        batch_norm.clean.set_weights(values)
        batch_norm.auxiliary.set_weights(values)
    else:
        batch_norm.set_weights(values)
