"""Errors as Customer.io words them: `errors` with a detail and a status that is a text."""

from __future__ import annotations

from starlette.responses import JSONResponse


class ApiError(Exception):
    """An error answer of the App API."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def response(self) -> JSONResponse:
        """The answer."""
        body = {"errors": [{"detail": self.detail, "status": str(self.status)}]}
        return JSONResponse(body, self.status, headers=self.headers)


def meta_error(status: int, text: str) -> JSONResponse:
    """An error as Track and transactional sends word it."""
    return JSONResponse({"meta": {"error": text}}, status)


def unauthorized() -> ApiError:
    """A key that isn't one here: wrong, or of the other region. The answer doesn't tell which."""
    return ApiError(401, "unauthorized")


def bad_request(detail: str) -> ApiError:
    """A parameter or body that can't be served."""
    return ApiError(400, detail)


def not_found() -> ApiError:
    """Nothing there."""
    return ApiError(404, "not found")
