"""Conditions of a polars query as the SQL that a scan takes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars

_COMPARISONS = {"Eq": "=", "NotEq": "<>", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
_REVERSED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_INTEGERS = {f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_LONGEST_LIST = 10_000
_LONGEST = 200_000


def condition(predicate: polars.Expr, schema: Mapping[str, polars.DataType]) -> str | None:
    """A condition in SQL that holds for every row for which `predicate` is true; None if nothing can be said.

    It may hold for others as well. What is not known for certain is left out, as are the expressions of a polars that
    writes them in another way.
    """
    try:
        tree = json.loads(predicate.meta.serialize(format="json"))
    # Expressions that hold Python functions cannot be written, and say so in many ways.
    except Exception:
        return None
    writer = _Writer(schema)
    parts = [text for part in _conjuncts(tree) if (text := writer.condition(part)) is not None]
    text = " AND ".join(parts)
    return text if parts and len(text) < _LONGEST else None


def _conjuncts(tree: Any) -> Iterator[Any]:
    """The conditions that must all hold."""
    waiting = [tree]
    while waiting:
        tree = waiting.pop()
        if _is(tree, "BinaryExpr") and tree["BinaryExpr"].get("op") in ("And", "LogicalAnd"):
            waiting += [tree["BinaryExpr"]["right"], tree["BinaryExpr"]["left"]]
        else:
            yield tree


def _is(tree: Any, kind: str) -> bool:
    return isinstance(tree, dict) and list(tree) == [kind] and (kind == "Column" or isinstance(tree[kind], dict))


class _Writer:
    """Writes conditions on the columns of one schema; None stands for what cannot be written exactly."""

    def __init__(self, schema: Mapping[str, polars.DataType]) -> None:
        self._schema = schema

    def condition(self, tree: Any, depth: int = 0) -> str | None:
        if depth > 8:
            return None
        if _is(tree, "BinaryExpr"):
            return self._binary(tree["BinaryExpr"], depth)
        if _is(tree, "Function"):
            return self._function(tree["Function"], depth)
        name, kind = self._column(tree)
        return _quoted(name) if kind == "Boolean" else None

    def _column(self, tree: Any) -> tuple[str, str | None]:
        """The name of a column and the name of its type; None where it is no column."""
        if not _is(tree, "Column") or not isinstance(tree["Column"], str) or tree["Column"] not in self._schema:
            return "", None
        return tree["Column"], str(self._schema[tree["Column"]])

    def _binary(self, tree: Any, depth: int) -> str | None:
        op = tree.get("op")
        if op in ("And", "LogicalAnd", "Or", "LogicalOr"):
            left, right = self.condition(tree["left"], depth + 1), self.condition(tree["right"], depth + 1)
            if left is None or right is None:
                return None
            return f"({left} {'OR' if op.endswith('Or') else 'AND'} {right})"
        if op not in _COMPARISONS:
            return None
        comparison, left, right = _COMPARISONS[op], tree["left"], tree["right"]
        if _is(left, "Literal"):
            comparison, left, right = _REVERSED.get(comparison, comparison), right, left
        return self._compared(left, comparison, right)

    def _compared(self, column: Any, comparison: str, literal: Any) -> str | None:
        name, kind = self._column(column)
        written = None if kind is None else _literal(kind, literal)
        if written is None:
            return None
        if kind in ("Float32", "Float64") and comparison in (">", ">="):
            # To polars, NaN is greater than all other numbers.
            return f"(NOT {_quoted(name)} {'<=' if comparison == '>' else '<'} {written})"
        return f"{_quoted(name)} {comparison} {written}"

    def _function(self, tree: Any, depth: int) -> str | None:
        function, inputs = tree.get("function"), tree.get("input")
        if not isinstance(function, dict) or not isinstance(inputs, list) or not inputs:
            return None
        kind = function.get("Boolean")
        if kind == "Not" and len(inputs) == 1:
            inner = self.condition(inputs[0], depth + 1)
            return None if inner is None else f"(NOT {inner})"
        if kind in ("IsNull", "IsNotNull") and len(inputs) == 1:
            name, of = self._column(inputs[0])
            return None if of is None else f"{_quoted(name)} IS {'NULL' if kind == 'IsNull' else 'NOT NULL'}"
        if kind == {"IsBetween": {"closed": "Both"}} and len(inputs) == 3:
            low, high = self._compared(inputs[0], ">=", inputs[1]), self._compared(inputs[0], "<=", inputs[2])
            return None if low is None or high is None else f"({low} AND {high})"
        if kind == {"IsIn": {"nulls_equal": False}} and len(inputs) == 2:
            return self._among(*inputs)
        if function == {"StringExpr": "StartsWith"} and len(inputs) == 2:
            return self._begins(*inputs)
        return None

    def _among(self, column: Any, literal: Any) -> str | None:
        name, kind = self._column(column)
        data = _scalar(literal).get("List")
        if kind not in {*_INTEGERS, "String"} or not isinstance(data, list):
            return None
        import polars

        try:
            values = polars.read_ipc_stream(io.BytesIO(bytes(data))).to_series()
        except (polars.exceptions.PolarsError, ValueError):
            return None
        if str(values.dtype) != kind or values.null_count() or not 0 < len(values) <= _LONGEST_LIST:
            return None
        written = [str(value) if kind != "String" else _text(value) for value in values.to_list()]
        if any(text is None for text in written):
            return None
        return f"{_quoted(name)} IN ({', '.join(text for text in written if text is not None)})"

    def _begins(self, column: Any, literal: Any) -> str | None:
        name, kind = self._column(column)
        prefix = _scalar(literal).get("String")
        if kind != "String" or not isinstance(prefix, str):
            return None
        for special in ("!", "%", "_"):
            prefix = prefix.replace(special, f"!{special}")
        written = _text(f"{prefix}%")
        return None if written is None else f"{_quoted(name)} LIKE {written} ESCAPE '!'"


def _scalar(tree: Any) -> dict[str, Any]:
    """The literal of a type, under the type's name."""
    scalar = tree["Literal"].get("Scalar") if _is(tree, "Literal") else None
    return scalar if isinstance(scalar, dict) and len(scalar) == 1 else {}


def _literal(kind: str, tree: Any) -> str | None:
    """A literal in SQL, if it is of the same type as the column: then polars compares the two as they are."""
    scalar = _scalar(tree)
    value = scalar.get(kind.partition("(")[0])
    if value is None:
        return None
    if kind in _INTEGERS:
        return str(value) if type(value) is int else None
    if kind in ("Float32", "Float64"):
        return repr(value) if type(value) is float and math.isfinite(value) else None
    if kind == "Boolean":
        return str(value).upper() if type(value) is bool else None
    if kind == "String":
        return _text(value) if isinstance(value, str) else None
    try:
        if kind == "Date":
            return f"'{date(1970, 1, 1) + timedelta(days=value)}'"
        if kind.startswith("Datetime("):
            return _instant(kind, *value)
    except (OverflowError, TypeError, ValueError):
        return None
    return None


def _instant(kind: str, value: int, unit: str, zone: str | None) -> str | None:
    """An instant of a column that has the same unit, and a time zone if the column has one."""
    short, per_second = {
        "Milliseconds": ("ms", 1_000),
        "Microseconds": ("us", 1_000_000),
        "Nanoseconds": ("ns", 1_000_000_000),
    }[unit]
    zoned = "time_zone=None" not in kind
    if f"time_unit='{short}'" not in kind or zoned != (zone is not None):
        return None
    seconds, rest = divmod(value, per_second)
    whole = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    return f"'{whole.isoformat()}.{rest * (1_000_000_000 // per_second):09d}{'Z' if zoned else ''}'"


def _text(value: str) -> str | None:
    return None if "\0" in value else "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
