"""Finding fields by the names queries use, through parents too."""

from __future__ import annotations

from gtmc_pipelines.sandbox.salesforce.errors import ApiError, invalid_field
from gtmc_pipelines.sandbox.salesforce.shape import Field
from gtmc_pipelines.sandbox.salesforce.table import Table


def resolve(table: Table, name: str, *, hidden_too: bool = False) -> tuple[str, Field]:
    """The column path as the schema spells it and its field. One level of parents (`Owner.Email`) is known.

    Raises ApiError INVALID_FIELD, for what is hidden from the user too unless told otherwise.
    """
    head, _, rest = name.partition(".")
    if rest and head.lower() == table.shape.name.lower():
        head, rest = rest, ""
    if not rest:
        field = table.shape.find(head)
        if field is None or (field.name in table.hidden and not hidden_too):
            raise invalid_field(head, table.shape.name, name)
        return field.name, field
    for lookup in table.shape.fields:
        if lookup.relationship and lookup.relationship.lower() == head.lower():
            parent = table.org.tables[lookup.refers_to[0]]
            inner = parent.shape.find(rest)
            if inner is None or (inner.name in parent.hidden and not hidden_too):
                raise invalid_field(rest, parent.shape.name, name)
            return f"{lookup.relationship}.{inner.name}", inner
    raise ApiError(
        400,
        "INVALID_FIELD",
        f"\n{name}\n^\nERROR at Row:1:Column:1\nDidn't understand relationship '{head}' in field path. If you are "
        "attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name.",
    )
