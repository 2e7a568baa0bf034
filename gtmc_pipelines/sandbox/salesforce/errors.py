"""Errors as Salesforce words them: an array of objects with errorCode and message."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    """An error answer of the REST API."""

    def __init__(self, status: int, code: str, message: str, fields: list[str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, fields

    def response(self) -> JSONResponse:
        """The answer."""
        item: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            item["fields"] = self.fields
        return JSONResponse([item], status_code=self.status)


class Moved(Exception):
    """The org has moved to another host, where the request is to be made."""

    def __init__(self, to: str) -> None:
        super().__init__(to)
        self.to = to


def malformed(query: str, position: int, what: str) -> ApiError:
    """MALFORMED_QUERY that points at the place."""
    row = query.count("\n", 0, position) + 1
    column = position - (query.rfind("\n", 0, position) + 1) + 1
    context = query[max(0, position - 40) : position + 20].replace("\n", " ")
    return ApiError(400, "MALFORMED_QUERY", f"\n{context}\n^\nERROR at Row:{row}:Column:{column}\n{what}")


def invalid_field(name: str, entity: str, context: str = "") -> ApiError:
    """INVALID_FIELD for a column that isn't there."""
    return ApiError(
        400,
        "INVALID_FIELD",
        f"\n{context}\n^\nERROR at Row:1:Column:1\nNo such column '{name}' on entity '{entity}'. If you are attempting "
        "to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL "
        "or the describe call for the appropriate names.",
    )


def invalid_type(name: str) -> ApiError:
    """INVALID_TYPE for an object that isn't there."""
    return ApiError(
        400,
        "INVALID_TYPE",
        f"\nFROM {name}\n^\nERROR at Row:1:Column:1\nsObject type '{name}' is not supported. If you are attempting to "
        "use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the "
        "describe call for the appropriate names.",
    )


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """NOT_FOUND."""
    return ApiError(404, "NOT_FOUND", message)


INVALID_SESSION = ("INVALID_SESSION_ID", "Session expired or invalid")
