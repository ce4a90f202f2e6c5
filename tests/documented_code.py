"""Code of documents and notebooks that is read, not run: names, attributes and options exist."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import re
import typing

import keras

from tfrobust.methods import RobustModel

#: What any Keras layer takes besides its own arguments.
LAYER_OPTIONS = {"name", "dtype", "trainable"}


class Unknown:
    """A value of which nothing is known."""


class Thing:
    """A module, class, function or constant that was looked up."""

    def __init__(self, value, bound=False):
        self.value, self.bound = value, bound


class Instance:
    """Some object of a class."""

    def __init__(self, kind):
        self.kind = kind


@functools.cache
def source(kind):
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


def has(kind, name):
    """Whether objects of a class have an attribute; what is said to be a model may be a method."""
    if hasattr(kind, name) or (kind is keras.Model and has(RobustModel, name)):
        return True
    pattern = re.compile(rf"\bself\.{name}\b|^    {name}: ", re.MULTILINE)
    return any(pattern.search(source(base)) for base in kind.__mro__)


def method_of(kind, name):
    """The method, or the one that it hands its options on to."""
    for base in kind.__mro__:
        found = base.__dict__.get(name)
        if inspect.isfunction(found):
            kinds = [p.kind for p in inspect.signature(found).parameters.values()]
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                return found
    return getattr(kind, name)


def of_package(thing):
    return (getattr(thing, "__module__", None) or "").split(".")[0] in ("tfrobust", "keras")


def returned(function):
    """What a call gives."""
    if inspect.isclass(function):
        return Instance(function) if of_package(function) else Unknown()
    try:
        kind = typing.get_type_hints(function).get("return")
    except (NameError, TypeError):
        return Unknown()
    return Instance(kind) if inspect.isclass(kind) and of_package(kind) else Unknown()


class Reader:
    """Reads code statement by statement; `wrong` says what is not there.

    Args:
        fragments: Whether names may come from elsewhere, as in parts of a program.
    """

    def __init__(self, fragments=False):
        self.fragments, self.wrong, self.checked = fragments, [], 0
        self.names = {name: Unknown() for name in dir(builtins)}

    def read(self, code):
        self.block(ast.parse(code).body)
        return self

    # Statements ------------------------------------------------------------------------------

    def block(self, statements):
        for statement in statements:
            self.statement(statement)

    def statement(self, node):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = importlib.import_module(alias.name)
                top = alias.name.split(".")[0]
                name = alias.asname or top
                self.names[name] = Thing(module if alias.asname else importlib.import_module(top))
        elif isinstance(node, ast.ImportFrom):
            self.imported(node)
        elif isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self.assign(target, value)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            self.names[node.name] = Unknown()
            inner = [a.arg for a in node.args.args] if isinstance(node, ast.FunctionDef) else []
            self.scope(inner, lambda: self.block(node.body))
        else:
            for field, child in ast.iter_fields(node):
                for one in child if isinstance(child, list) else [child]:
                    if isinstance(one, ast.stmt):
                        self.statement(one)
                    elif isinstance(one, ast.withitem):
                        self.value(one.context_expr)
                        self.assign(one.optional_vars, Unknown())
                    elif isinstance(one, ast.excepthandler):
                        self.names[one.name or "_"] = Unknown()
                        self.block(one.body)
                    elif field == "target" and isinstance(one, ast.expr):
                        self.assign(one, Unknown())
                    elif isinstance(one, ast.expr):
                        self.value(one)

    def imported(self, node):
        module = importlib.import_module(node.module)
        for alias in node.names:
            if hasattr(module, alias.name):
                value = Thing(getattr(module, alias.name))
                self.checked += 1
            else:
                value = Unknown()
                self.wrong.append(f"{node.module} has no {alias.name}")
            self.names[alias.asname or alias.name] = value

    def assign(self, target, value):
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self.assign(one, Unknown())
        elif isinstance(target, ast.Starred):
            self.assign(target.value, Unknown())
        elif target is not None:
            self.value(target)

    def scope(self, names, read):
        outer, self.names = self.names, {**self.names, **{name: Unknown() for name in names}}
        read()
        self.names = outer

    # Expressions -----------------------------------------------------------------------------

    def value(self, node):
        """What an expression stands for."""
        if isinstance(node, ast.Name):
            return self.name(node.id)
        if isinstance(node, ast.Attribute):
            return self.attribute(self.value(node.value), node)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Lambda):
            self.scope([a.arg for a in node.args.args], lambda: self.value(node.body))
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            self.scope([], lambda: self.comprehension(node))
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (ast.expr, ast.keyword)):
                    self.value(child.value if isinstance(child, ast.keyword) else child)
        return Unknown()

    def comprehension(self, node):
        for generator in node.generators:
            self.value(generator.iter)
            self.assign(generator.target, Unknown())
            for test in generator.ifs:
                self.value(test)
        parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        for part in parts:
            self.value(part)

    def name(self, name):
        if name not in self.names and not self.fragments:
            self.wrong.append(f"{name} is not defined")
        return self.names.get(name, Unknown())

    def attribute(self, owner, node):
        name = node.attr
        if isinstance(owner, Thing):
            self.checked += 1
            if hasattr(owner.value, name):
                return Thing(getattr(owner.value, name))
            self.wrong.append(f"{ast.unparse(node.value)} has no {name}")
        elif isinstance(owner, Instance):
            self.checked += 1
            found = inspect.getattr_static(owner.kind, name, None)
            if isinstance(found, property):
                return returned(found.fget)
            if inspect.isfunction(getattr(owner.kind, name, None)):
                bound = not isinstance(found, staticmethod)
                return Thing(method_of(owner.kind, name), bound=bound)
            if not has(owner.kind, name):
                self.wrong.append(f"{ast.unparse(node.value)} has no {name}")
            hints = {}
            for base in reversed(owner.kind.__mro__):
                hints.update(getattr(base, "__annotations__", {}))
            if name in hints and of_package(owner.kind):
                try:
                    kind = typing.get_type_hints(owner.kind).get(name)
                except (NameError, TypeError):
                    kind = None
                if inspect.isclass(kind) and of_package(kind):
                    return Instance(kind)
        return Unknown()

    def call(self, node):
        function = self.value(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.value(argument.value if isinstance(argument, ast.Starred) else argument)
        if not isinstance(function, Thing) or not callable(function.value):
            return Unknown()
        if of_package(function.value):
            self.arguments(function, node)
        return returned(function.value)

    def arguments(self, function, node):
        """Whether a call gives what its function takes."""
        try:
            signature = inspect.signature(function.value)
        except (TypeError, ValueError):
            return
        self.checked += 1
        kinds = [p.kind for p in signature.parameters.values()]
        parameters = [p.name for p in signature.parameters.values() if p.kind != p.VAR_KEYWORD]
        given = {keyword.arg: None for keyword in node.keywords if keyword.arg is not None}
        own = function.value.__module__.startswith("tfrobust")
        if own and inspect.isclass(function.value) and inspect.Parameter.VAR_KEYWORD in kinds:
            for name in sorted(set(given) - set(parameters) - LAYER_OPTIONS):
                self.wrong.append(f"{ast.unparse(node.func)} takes no {name}")
        open_ended = any(keyword.arg is None for keyword in node.keywords)
        open_ended |= any(isinstance(argument, ast.Starred) for argument in node.args)
        positional = [None] * (function.bound + len(node.args))
        try:
            if open_ended:
                signature.bind_partial(*positional[: function.bound], **given)
            else:
                signature.bind(*positional, **given)
        except TypeError as error:
            self.wrong.append(f"{ast.unparse(node.func)}: {error}")
