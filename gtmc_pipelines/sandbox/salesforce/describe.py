"""What describe tells about objects and fields."""

from __future__ import annotations

import re
from typing import Any

from gtmc_pipelines.sandbox.salesforce.shape import Field, ObjectShape


def summary(shape: ObjectShape, version: str) -> dict[str, Any]:
    """An object as listed under /sobjects."""
    base = f"/services/data/v{version}/sobjects/{shape.name}"
    return {
        "name": shape.name,
        "label": shape.label,
        "labelPlural": shape.plural,
        "keyPrefix": shape.prefix,
        "custom": shape.name.endswith("__c"),
        "queryable": True,
        "retrieveable": True,
        "replicateable": True,
        "searchable": True,
        "createable": False,
        "updateable": False,
        "deletable": False,
        "undeletable": shape.recycles,
        "triggerable": True,
        "layoutable": True,
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": base + "/{ID}"},
    }


def describe(shape: ObjectShape, version: str, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """An object with its fields, but those `hidden` from the user."""
    return {
        **summary(shape, version),
        "fields": [_field(field, shape) for field in shape.fields if field.name not in hidden],
        "childRelationships": [],
        "recordTypeInfos": [],
        "supportedScopes": [{"label": f"All {shape.plural.lower()}", "name": "everything"}],
    }


def _field(field: Field, shape: ObjectShape) -> dict[str, Any]:
    home = next((one.name for one in shape.fields if field.name in one.parts), None)
    numeric = field.type in ("double", "currency", "percent")
    return {
        "name": field.name,
        "label": field.label or _label(field.name),
        "type": field.type,
        "length": field.length,
        "byteLength": field.length * 3,
        "precision": 18 if numeric else 0,
        "scale": 2 if numeric else 0,
        "digits": 9 if field.type == "int" else 0,
        "nillable": field.nillable,
        "custom": field.custom,
        "calculated": field.calculated,
        "filterable": field.type not in ("address", "textarea"),
        "sortable": field.type not in ("address", "textarea"),
        "groupable": field.type not in ("address", "textarea", "datetime", "currency", "double", "percent"),
        "createable": False,
        "updateable": False,
        "unique": False,
        "externalId": False,
        "idLookup": field.type in ("id", "email"),
        "nameField": field.name_field,
        "autoNumber": False,
        "encrypted": False,
        "compoundFieldName": home,
        "referenceTo": list(field.refers_to),
        "relationshipName": field.relationship,
        "polymorphicForeignKey": len(field.refers_to) > 1,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
            for value in field.picklist
        ],
        "restrictedPicklist": False,
        "soapType": _SOAP.get(field.type, "xsd:string"),
    }


def _label(name: str) -> str:
    plain = name.removesuffix("__c").replace("_", " ")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain.removesuffix("Id") if name != "Id" else plain)


_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}
