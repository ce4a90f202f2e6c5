"""What the configuration of a model file may refer to.

Keras 2 imports whatever module and name stand in a `.keras` file, and calls what it finds there,
also in its safe mode; without this, loading a file can run any function of any installed package.
"""

from __future__ import annotations

import builtins
import re
from typing import Any, Optional

import keras

#: Where Keras has functions that a layer, loss or optimizer may take.
_FUNCTIONS = ("activations", "initializers", "regularizers", "constraints", "losses", "metrics")
#: Groups of TensorFlow's operations that nets of Keras 2 may contain, and single ones. They work on
#: tensors alone: none reads or writes files or calls Python.
_GROUPS = ("__operators__.", "math.", "nn.", "linalg.", "image.")
_SINGLE = frozenset(
    re.findall(
        r"\w+",
        """
        abs add argmax argmin boolean_mask broadcast_to cast clip_by_value concat
        convert_to_tensor divide equal exp expand_dims fill floor gather gather_nd greater
        greater_equal identity less less_equal logical_and logical_not logical_or matmul maximum
        minimum multiply norm not_equal one_hot ones ones_like pad pow range rank repeat reshape
        reverse roll round shape sigmoid sign size slice split sqrt square squeeze stack
        stop_gradient strided_slice subtract tanh tensordot tile transpose truediv unstack where
        zeros zeros_like reduce_all reduce_any reduce_max reduce_mean reduce_min reduce_prod
        reduce_sum reduce_logsumexp
        """,
    )
)


def check_config(config: Any, what: str, custom_objects: Optional[dict[str, Any]] = None) -> None:
    """Checks every class and function that a configuration refers to, before any is made.

    Args:
        config: The configuration, as read from JSON.
        what: The file, for messages.
        custom_objects: Objects that the caller gives, by name.

    Raises:
        ValueError: It refers to something else than classes of Keras and tfrobust, registered or
            given ones, Keras' functions, and operations on tensors; or to code (Lambda).
    """
    given = custom_objects or {}
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, (list, tuple)):
            waiting += item
        if not isinstance(item, dict):
            continue
        waiting += item.values()
        if isinstance(item.get("class_name"), str):
            said = _fault(item, given)
            if said:
                raise ValueError(
                    f"{what} refers to {said}, which is neither Keras' nor registered, and is not "
                    "made from a file; register it with "
                    "keras.saving.register_keras_serializable, or give it as custom_objects"
                )


def _fault(item: dict[str, Any], given: dict[str, Any]) -> str:
    """What is wrong with one reference, or an empty string."""
    name, module = item["class_name"], item.get("module") or ""
    inner = item.get("config")
    if name in ("Lambda", "__lambda__", "ClassMethod"):
        return f"code ({name}; a class of its own can take its place)"
    if name == "__typespec__":
        return "" if module.partition(".")[0] == "tensorflow" else f"the module {module}"
    if name in ("TFOpLambda", "SlicingOpLambda"):
        operation = inner.get("function") if isinstance(inner, dict) else None
        return "" if _is_array_operation(operation) else f"the operation {operation!r}"
    if name == "function":
        own = str(inner)
        known = own in given or keras.saving.get_registered_object(own, given) is not None
        place = module.rpartition(".")[2]
        public = module.partition(".")[0] == "keras" and place in _FUNCTIONS
        plain = module in ("", "builtins") and not hasattr(builtins, own)
        return "" if known or public or plain else f"the function {module}.{own}"
    registered = item.get("registered_name") or name
    if name.startswith("__") or name in given or registered in given or not module:
        return ""
    if keras.saving.get_registered_object(registered, given) is not None:
        return ""
    return "" if module.partition(".")[0] == "keras" else f"the class {module}.{name}"


def _is_array_operation(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    plain = name.removeprefix("compat.v1.")
    return plain in _SINGLE or plain.startswith(_GROUPS)
