"""Reason codes: why a record could not become a row, one sentence each, never a value."""

from __future__ import annotations

from gtmc_pipelines.model.errors import Reject

REASONS: dict[str, str] = {
    "not_json": "The record is not valid JSON.",
    "not_an_object": "The record is not a JSON object.",
    "too_deep": "The record is nested too deeply to be read.",
    "bad_unicode": "{field} holds characters that are not valid Unicode (half of a surrogate pair, or broken UTF-8).",
    "nul_character": "{field} holds the NUL character, which the database can't store.",
    "text_too_long": "{field} is longer than its column allows.",
    "required_missing": "{field} is required and empty or absent.",
    "not_an_integer": "{field} is not a whole number.",
    "integer_out_of_range": "{field} is outside -2147483648 to 2147483647.",
    "not_a_number": "{field} is not a plain number (digits, one decimal point, no separators).",
    "number_out_of_range": "{field} has more than 100 digits before or after the decimal point.",
    "not_a_boolean": "{field} is not true or false.",
    "not_a_timestamp": "{field} is not an ISO 8601 time or seconds since 1970.",
    "not_a_date": "{field} is not an ISO 8601 date.",
    "time_out_of_range": "{field} is outside the years 0001 to 9999 in UTC.",
    "not_text": "{field} is an object or a list where one text belongs.",
    "mapping_too_slow": "The custom transforms of the batch had taken their processor time before that of {field}.",
    "custom_transform": "The custom transform of {field} could not be computed for this record.",
}
"""Every code a mapping can reject a record with."""

_NEXT_STEP = "Correct the record at the vendor or the mapping of this field; it is read again at the next change."


def reject(code: str, field: str = "") -> Reject:
    """The Reject for a code; `field` is the source field to blame."""
    sentence = REASONS[code].format(field=f"Field {field!r}" if field else "The record")
    return Reject(code, sentence, field=field, next_step=_NEXT_STEP)
