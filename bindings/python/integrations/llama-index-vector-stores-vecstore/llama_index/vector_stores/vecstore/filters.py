"""LlamaIndex's metadata filters as filters of VecStore."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from vecstore import F, Filter

#: What holds for no record.
NOTHING = F("metadata").in_([])

Test = Callable[[F, Any], Filter]

#: Operators that take one value.
SCALAR: dict[FilterOperator, Test] = {
    FilterOperator.EQ: lambda field, value: field == value,
    FilterOperator.NE: lambda field, value: field != value,
    FilterOperator.GT: lambda field, value: field > value,
    FilterOperator.GTE: lambda field, value: field >= value,
    FilterOperator.LT: lambda field, value: field < value,
    FilterOperator.LTE: lambda field, value: field <= value,
    FilterOperator.CONTAINS: lambda field, value: field.contains(value),
    FilterOperator.TEXT_MATCH: lambda field, value: field.contains(value),
}

#: Operators that take a list.
LISTS: dict[FilterOperator, Test] = {
    FilterOperator.IN: lambda field, values: field.in_(values),
    FilterOperator.NIN: lambda field, values: ~field.in_(values),
    FilterOperator.ANY: lambda field, values: any_of([field.contains(v) for v in values]),
    FilterOperator.ALL: lambda field, values: all_of(
        [present(field), *(field.contains(v) for v in values)]
    ),
}


def present(field: F) -> Filter:
    return field.exists() & ~field.is_null()


def all_of(filters: Sequence[Filter]) -> Filter:
    return reduce(and_, filters) if filters else ~NOTHING


def any_of(filters: Sequence[Filter]) -> Filter:
    return reduce(or_, filters) if filters else NOTHING


def convert(filters: MetadataFilters | None) -> Filter | None:
    """The same condition on `metadata`; None where every record satisfies it.

    Raises ValueError for an operator that VecStore has not, or a value that it does not take.
    """
    if filters is None or not filters.filters:
        return None
    parts = []
    for part in filters.filters:
        converted = convert(part) if isinstance(part, MetadataFilters) else condition(part)
        # An empty group is satisfied by every record.
        parts.append(~NOTHING if converted is None else converted)
    match filters.condition or FilterCondition.AND:
        case FilterCondition.AND:
            return all_of(parts)
        case FilterCondition.OR:
            return any_of(parts)
        case FilterCondition.NOT:
            return ~any_of(parts)
        case other:
            raise ValueError(f"the condition {other!r} is not supported")


def condition(part: MetadataFilter) -> Filter:
    field, operator, value = F("metadata", part.key), part.operator, part.value
    if operator == FilterOperator.IS_EMPTY:
        return ~present(field) | (field == "")
    takes_list = operator in LISTS
    test = LISTS.get(operator) or SCALAR.get(operator)
    if test is None:
        raise ValueError(
            f"the filter operator {operator.name} ({operator.value!r}) is not supported by VecStore"
        )
    if takes_list != isinstance(value, list):
        expected = "a list" if takes_list else "one value"
        raise ValueError(
            f"the filter operator {operator.name} of {part.key!r} takes {expected}, not {value!r}"
        )
    return test(field, value)
