"""What an administrator does to an org's schema: more custom fields, fields hidden from the connecting user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gtmc_pipelines.sandbox.knobs import Knob
from gtmc_pipelines.sandbox.salesforce.shape import Field, Maker, ObjectShape


def grown(shape: ObjectShape, custom: Sequence[Knob]) -> ObjectShape:
    """The object with the fields that the standing knobs `custom_fields` give it."""
    more = [field for knob in custom if _is_of(knob, shape) for field in _custom_fields(knob)]
    return replace(shape, fields=(*shape.fields, *more)) if more else shape


def hidden_names(shape: ObjectShape, hidden: Sequence[Knob]) -> frozenset[str]:
    """Fields of the object that the standing knobs `hidden_field` hide."""
    return frozenset(str(knob.parameters.get("field")) for knob in hidden if _is_of(knob, shape))


def _is_of(knob: Knob, shape: ObjectShape) -> bool:
    return str(knob.parameters.get("object")) == shape.name


def _custom_fields(knob: Knob) -> list[Field]:
    length = int(knob.parameters.get("length", 40))
    return [
        Field(f"F{number:04d}_".ljust(length - len("__c"), "x") + "__c", "string", _text(number), length=255)
        for number in range(int(knob.parameters.get("fields", 800)))
    ]


def _text(number: int) -> Maker:
    """Null in one record of four, else a short text that differs from field to field."""
    return lambda batch: [None if (dice + number) % 4 == 0 else f"{number}-{(dice >> 7) % 1000}" for dice in batch.dice]
