"""From YAML to a training configuration, with strict keys."""

from __future__ import annotations

import difflib
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from rosgeo.errors import ConfigError, InputFileNotFoundError
from rosgeo.labelled.config import DataSource
from rosgeo.model.network import ModelConfig
from rosgeo.training.config import TrainConfig

__all__ = ["build_config", "read_config"]

T = TypeVar("T")


def read_config(path: str | Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a YAML file; overrides are ``key=value`` with dots for nested keys and values in YAML.

    Raises
    ------
    InputFileNotFoundError
        No such file.
    ConfigError
        Not a YAML mapping, an unknown key (the message names the nearest known one), a missing key or a value of the wrong kind.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileNotFoundError(f"{source}: no such configuration file")
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a mapping of keys, found {type(values).__name__}")
    for override in overrides:
        _override(values, override)
    return build_config(values, str(source))


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override!r}: expected key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML") from error
    *parents, last = key.split(".")
    node: Any = values
    for parent in parents:
        if isinstance(node, dict) and node.get(parent) is None:
            node[parent] = {}
        node = _child(node, parent, override)
    if isinstance(node, list):
        _child(node, last, override)
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"--set {override!r}: {parents[-1]!r} holds {node!r}, not a mapping of keys")


def _child(node: Any, key: str, override: str) -> Any:
    """An entry of a mapping, or of a list by its number from 0."""
    if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
        return node[int(key)]
    if isinstance(node, dict):
        return node[key]
    raise ConfigError(f"--set {override!r}: there is no {key!r} in {node!r}")


def build_config(values: dict[str, Any], where: str) -> TrainConfig:
    """A configuration from plain values; the short keys ``train``, ``val`` and ``backbone`` at the top stand for their long forms."""
    values = {key: value for key, value in values.items() if value is not None}
    data = dict(values.pop("data", {})) if isinstance(values.get("data", {}), dict) else values.pop("data")
    for key in ("train", "val"):
        if key in values:
            if not isinstance(data, dict) or key in data:
                raise ConfigError(f"{where}: {key!r} is given both at the top and under 'data'")
            data[key] = values.pop(key)
    values["data"] = data
    if "backbone" in values:
        if "init" in values:
            raise ConfigError(f"{where}: both 'backbone' and 'init' are given; expected one of them")
        values["init"] = {"backbone": values.pop("backbone")}
    if "init" not in values:
        raise ConfigError(f"{where}: missing key 'init': expected init: {{backbone: FILE}} or init: {{model: NAME or FILE}}")
    return _build(TrainConfig, values, where)


def _build(cls: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass from a mapping, nested ones included."""
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    _require_known(values, names, where)
    built = {key: _convert(hints[key], value, f"{where}: {key}", key) for key, value in values.items()}
    try:
        return cls(**built)
    except TypeError as error:
        raise ConfigError(f"{where}: {str(error).split('() ')[-1]}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _require_known(values: dict[str, Any], names: list[str], where: str) -> None:
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(names)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")


def _convert(kind: Any, value: Any, where: str, key: str = "") -> Any:
    """`value` as a `kind` of type hint, or an error that says what was expected."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _first(tuple(k for k in get_args(kind) if k is not type(None)), value, where, key)
    if origin is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{where}: expected {', '.join(map(str, get_args(kind)))}, found {value!r}")
        return value
    if origin is tuple:
        return _tuple(kind, value, where)
    if origin is dict:
        return _dict(kind, value, where, key)
    if is_dataclass(kind) and isinstance(kind, type):
        if kind is DataSource and isinstance(value, str):
            return DataSource(path=value)
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a mapping, found {value!r}")
        return _build(kind, value, where)
    return value if kind is Any else _plain(kind, value, where)


def _first(kinds: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    """`value` as the first of some kinds that takes it."""
    for kind in kinds[:-1]:
        try:
            return _convert(kind, value, where, key)
        except ConfigError:
            continue
    return _convert(kinds[-1], value, where, key)


def _plain(kind: type, value: Any, where: str) -> Any:
    """A number, text or truth value; whole numbers are taken for floats, but nothing is taken for a truth value."""
    is_bool = isinstance(value, bool)
    if kind is float and isinstance(value, int) and not is_bool:
        return float(value)
    if not isinstance(value, kind) or (is_bool and kind is not bool):
        raise ConfigError(f"{where}: expected {kind.__name__}, found {value!r}")
    return value


def _tuple(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    element, *rest = get_args(kind)
    if element is DataSource and isinstance(value, str | dict):
        value = [value]
    if element is str and isinstance(value, str | int) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected a list, found {value!r}")
    if element is str:
        # A number of a mask needs no quotes.
        value = [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
    if rest and rest[0] is not Ellipsis and len(value) != len(rest) + 1:
        raise ConfigError(f"{where}: expected {len(rest) + 1} values, found {value!r}")
    return tuple(_convert(element, v, where) for v in value)


def _dict(kind: Any, value: Any, where: str, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a mapping, found {value!r}")
    if key == "model":
        # Keys of another class, kept as they are until it is known what they are to change.
        hints = get_type_hints(ModelConfig)
        _require_known(value, list(hints), where)
        return {str(k): _convert(hints[k], v, f"{where}.{k}") for k, v in value.items()}
    element = get_args(kind)[1]
    return {str(k): _convert(element, v, f"{where}.{k}") for k, v in value.items()}
