"""What an object and its fields look like: the one description behind records, queries and describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.batch import Batch

Maker = Callable[["Batch"], list[Any]]
"""Makes a field's values for a batch of records. datetime: milliseconds or None; date: ISO text; address: dict."""

CREATABLE_TYPES = ("string", "textarea", "picklist", "email", "phone", "url", "double", "currency", "percent", "int")


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `relationship` is the name under which the parent's fields are reached (`Owner.Name`).

    The value of a `calculated` one (a formula, a roll-up) is worked out when it is asked for: no stamp tells of it.
    """

    name: str
    type: str
    make: Maker
    nillable: bool = True
    length: int = 0
    label: str = ""
    picklist: tuple[str, ...] = ()
    refers_to: tuple[str, ...] = ()
    relationship: str | None = None
    parts: tuple[str, ...] = ()
    name_field: bool = False
    calculated: bool = False

    @property
    def custom(self) -> bool:
        """Whether the org's own administrators added it."""
        return self.name.endswith("__c")

    @property
    def compound(self) -> bool:
        """Whether it is an address made of other fields: not sortable, not in Bulk queries."""
        return self.type == "address"

    @property
    def quoted(self) -> bool:
        """Whether SOQL wants its values in quotes."""
        return self.type not in ("boolean", "int", "double", "currency", "percent", "date", "datetime", "address")


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """One object: `size` names its `--size`, `touch` is what an update without fields changes."""

    name: str
    label: str
    plural: str
    prefix: str
    fields: tuple[Field, ...]
    default_live: int
    size: str = ""
    bulk: bool = True
    recycles: bool = True
    touch: tuple[str, tuple[Any, ...]] = ("", ())
    by_name: dict[str, Field] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name.update({one.name.lower(): one for one in self.fields})

    def find(self, name: str) -> Field | None:
        """A field by name; SOQL doesn't mind upper and lower case."""
        return self.by_name.get(name.lower())


def pick(pool: Sequence[Any], shift: int) -> Maker:
    """A value of a pool for each record, by the record's dice."""
    size = len(pool)
    return lambda batch: [pool[(dice >> shift) % size] for dice in batch.dice]


def constant(value: Any) -> Maker:
    """The same value for every record."""
    return lambda batch: [value] * len(batch.indices)


def sometimes(maker: Maker, shift: int, of_sixteen: int) -> Maker:
    """The maker's values, with null in `of_sixteen` of 16 records."""

    def make(batch: Batch) -> list[Any]:
        chosen = zip(maker(batch), batch.dice, strict=True)
        return [None if (dice >> shift) & 15 < of_sixteen else value for value, dice in chosen]

    return make


def address(name: str, *, shift: int = 0) -> tuple[Field, ...]:
    """The compound field `<name>Address` with its parts, taken from the record's company."""
    parts = tuple(f"{name}{part}" for part in ("Street", "City", "State", "PostalCode", "Country"))

    def compound(batch: Batch) -> list[Any]:
        columns = [batch.column(part) for part in parts]
        keys = ("street", "city", "state", "postalCode", "country")
        rows = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
        extra = {"latitude": None, "longitude": None, "geocodeAccuracy": None}
        return [{**row, **extra} if any(row.values()) else None for row in rows]

    sources: tuple[Maker, ...] = (
        lambda batch: [company.street for company in batch.companies],
        lambda batch: [company.city for company in batch.companies],
        constant(None),
        lambda batch: [company.postal_code for company in batch.companies],
        lambda batch: [company.country for company in batch.companies],
    )
    kinds = ("textarea", "string", "string", "string", "string")
    fields = tuple(
        Field(part, kind, sometimes(source, shift, 2) if shift else source, length=255)
        for part, kind, source in zip(parts, kinds, sources, strict=True)
    )
    numbers = tuple(Field(f"{name}{part}", "double", constant(None)) for part in ("Latitude", "Longitude"))
    accuracy = Field(f"{name}GeocodeAccuracy", "picklist", constant(None), length=40)
    return (*fields, *numbers, accuracy, Field(f"{name}Address", "address", compound, parts=parts))


def unused(**kinds: str) -> tuple[Field, ...]:
    """Standard fields by kind that this org has and doesn't use: `phone="Fax HomePhone"`."""
    return tuple(
        Field(name, kind, constant(None), length=40) for kind, names in kinds.items() for name in names.split()
    )


def seen_by_user() -> tuple[Field, ...]:
    """When the asking user last looked at a record: no stamp tells of it."""
    return unused(datetime="LastViewedDate LastReferencedDate")
