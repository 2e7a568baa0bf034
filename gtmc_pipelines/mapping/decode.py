"""Decoding: a payload's bytes to just the top-level fields a mapping needs, digits kept exact.

The fast parser refuses some records that are JSON all the same (half a surrogate pair, a byte-order
mark, NaN): those alone go through the standard library's, so that one bad field that isn't even
mapped doesn't cost the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from gtmc_pipelines.mapping.reasons import reject

NOT_A_NUMBER = Decimal("NaN")


def exact_number(digits: str) -> Decimal:
    """A JSON number with a fraction or exponent, exactly; NaN for one beyond every bound."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return NOT_A_NUMBER


def is_decodable(name: str) -> bool:
    """True when the fast parser can look for a field of this name; the others need the whole record."""
    return not any(character in '\\"' or character < " " for character in name)


def decoder(names: Sequence[str]) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Two decoders of a record: the fast one, and the patient one for what the fast one refuses.

    Both give an object with attributes `f0`, `f1`, … for the top-level `names`, None where the
    record lacks the field. The fast one raises what msgspec raises; the patient one raises Reject.
    """
    fields: list[tuple[str, Any, Any]] = [(f"f{i}", Any, None) for i in range(len(names))]
    shape = msgspec.defstruct("SourceFields", fields, rename={f"f{i}": n for i, n in enumerate(names)}, gc=False)
    fast = msgspec.json.Decoder(shape, float_hook=exact_number).decode

    def patient(payload: bytes) -> Any:
        record = patient_object(payload)
        return shape(*(record.get(name) for name in names))

    return fast, patient


_whole = msgspec.json.Decoder(dict[str, Any], float_hook=exact_number).decode


def whole_record(payload: bytes) -> dict[str, Any]:
    """The record as a dictionary, numbers exact. Raises Reject."""
    try:
        return _whole(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return patient_object(payload)


def patient_object(payload: bytes) -> dict[str, Any]:
    """The record by the standard library's parser. Raises Reject when it is no JSON object."""
    try:
        record = json.loads(
            payload.decode("utf-8-sig"), parse_float=exact_number, parse_constant=lambda _: NOT_A_NUMBER
        )
    except UnicodeDecodeError:
        raise reject("bad_unicode") from None
    except json.JSONDecodeError:
        raise reject("not_json") from None
    except RecursionError:
        raise reject("too_deep") from None
    except ValueError:  # an integer of more digits than Python reads
        raise reject("number_out_of_range") from None
    if not isinstance(record, dict):
        raise reject("not_an_object")
    return record
