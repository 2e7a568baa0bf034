"""Fields every object has, and the objects around the business ones: User and Organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gtmc_pipelines.sandbox.salesforce.shape import Field, Maker, ObjectShape, constant

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.batch import Batch

USERS = 12


def owner(shift: int = 50) -> Maker:
    """The user responsible for each record."""

    def make(batch: Batch) -> list[Any]:
        users = batch.org.user_ids
        return [users[(dice >> shift) % len(users)] for dice in batch.dice]

    return make


def _ids(batch: Batch) -> list[Any]:
    return batch.table.codec.encode(batch.indices)


def _deleted(batch: Batch) -> list[Any]:
    deleted = batch.table.base_deleted
    return [deleted(index) for index in batch.indices]


def _stamps(batch: Batch) -> list[Any]:
    stamp = batch.table.base_stamp
    return [stamp(index) for index in batch.indices]


def _created(batch: Batch) -> list[Any]:
    stamps = zip(batch.column("SystemModstamp"), batch.dice, strict=True)
    return [stamp - ((dice >> 22) % 200) * 86_400_000 - (dice % 3_600) * 1000 for stamp, dice in stamps]


def system_fields() -> tuple[Field, ...]:
    """Id, IsDeleted and the stamps."""
    return (
        Field("Id", "id", _ids, nillable=False, length=18, label="Record ID"),
        Field("IsDeleted", "boolean", _deleted, nillable=False, label="Deleted"),
        Field("CreatedDate", "datetime", _created, nillable=False),
        Field("CreatedById", "reference", owner(40), nillable=False, refers_to=("User",), relationship="CreatedBy"),
        Field("LastModifiedDate", "datetime", lambda batch: batch.column("SystemModstamp"), nillable=False),
        Field(
            "LastModifiedById",
            "reference",
            owner(44),
            nillable=False,
            refers_to=("User",),
            relationship="LastModifiedBy",
        ),
        Field("SystemModstamp", "datetime", _stamps, nillable=False),
    )


def owner_field() -> Field:
    """OwnerId, reachable as `Owner.…`."""
    return Field("OwnerId", "reference", owner(), nillable=False, refers_to=("User",), relationship="Owner")


def _usernames(batch: Batch) -> list[Any]:
    home = f"{batch.org.name}.example"
    return [
        f"admin@{home}" if index == 0 else f"{person.email.split('@')[0]}@{home}"
        for index, person in zip(batch.indices, batch.people, strict=True)
    ]


USER = ObjectShape(
    "User",
    "User",
    "Users",
    "005",
    (
        *system_fields(),
        Field("Username", "string", _usernames, nillable=False, length=80),
        Field("FirstName", "string", lambda batch: [person.first_name for person in batch.people], length=40),
        Field("LastName", "string", lambda batch: [person.last_name for person in batch.people], False, 80),
        Field(
            "Name",
            "string",
            lambda batch: [f"{person.first_name} {person.last_name}" for person in batch.people],
            nillable=False,
            length=121,
            name_field=True,
        ),
        Field("Email", "email", _usernames, nillable=False, length=128),
        Field("Title", "string", lambda batch: [person.title for person in batch.people], length=80),
        Field("IsActive", "boolean", constant(True), nillable=False),
        Field("UserType", "picklist", constant("Standard"), length=40, picklist=("Standard", "Guest")),
    ),
    default_live=USERS,
    recycles=False,
    bulk=False,
    touch=("Title", ("Sales Manager", "Sales Director", "Account Manager")),
)

ORGANIZATION = ObjectShape(
    "Organization",
    "Organization",
    "Organizations",
    "00D",
    (
        *system_fields(),
        Field("Name", "string", lambda batch: [batch.org.name.title()], length=80, name_field=True),
        Field("InstanceName", "string", constant("SBX1"), length=5),
        Field("IsSandbox", "boolean", constant(False), nillable=False),
        Field("OrganizationType", "picklist", constant("Developer Edition"), length=40),
    ),
    default_live=1,
    recycles=False,
    bulk=False,
    touch=("Name", ("Renamed organization", "Renamed once more")),
)
