"""The web code every HTTP door shares: language, correlation id, security headers, and one way to show a Problem.

``install`` puts all of it around a Starlette application.  Promises: every answer carries a correlation id
and a content security policy; whatever goes wrong, the caller gets the same facts as a page or as problem details
(RFC 9457); no path, query or body is ever logged (they may hold personal data; the route's template stands for them).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from lienthong.errors import Problem
from lienthong.i18n import DEFAULT_LANGUAGE, LANGUAGES, Language, T, accepted_language, by_preference

log = structlog.get_logger("lienthong.web")

ErrorPage = Callable[[Request, Mapping[str, object], Language], str]
"""Renders, for a request, problem details (plus ``correlation``) as HTML; given by whoever owns the templates."""

CORRELATION_HEADER = "X-Correlation-Id"
_CORRELATION = re.compile(r"[A-Za-z0-9._-]{8,64}")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No script, nothing from elsewhere.  A response that needs more (the offline verifier) sets its own header."""

SECURITY_HEADERS: tuple[tuple[str, str], ...] = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
)
HSTS = ("Strict-Transport-Security", "max-age=31536000")


class NoSuchPage(Problem):
    """Nothing lives at the address asked for."""

    kind = "no-such-page"
    status = 404
    side = "caller"
    title = T("There is nothing at this address")


class WrongMethod(Problem):
    """The address exists, but not for this HTTP method."""

    kind = "wrong-method"
    status = 405
    side = "caller"
    title = T("This address does not accept that method")


class RequestRefused(Problem):
    """The HTTP layer refused the request for another reason; the status says which."""

    kind = "request-refused"
    status = 400
    side = "caller"
    title = T("The request was refused")


def install(app: Starlette, *, error_page: ErrorPage | None = None) -> None:
    """Put the shared web behaviour around ``app``; without ``error_page`` every problem is answered as JSON."""
    show: ExceptionHandler = _shower(error_page)
    for raised in (Problem, HTTPException):
        app.add_exception_handler(raised, show)
    app.add_middleware(Threshold, show=_shower(error_page))


def page_language(request: Request) -> Language:
    """The language of a page: English under ``/en/`` or with ``?lang=en``, otherwise Vietnamese.

    The reader's browser settings do not count: an address always shows the same words to everybody.
    """
    path = request.url.path
    if path == "/en" or path.startswith("/en/"):
        return "en"
    asked = request.query_params.get("lang")
    return asked if asked in LANGUAGES else DEFAULT_LANGUAGE


def answer_language(request: Request) -> Language:
    """The language of a machine's answer: as for pages, then ``Accept-Language``, then Vietnamese."""
    if request.query_params.get("lang") in LANGUAGES or request.url.path.startswith("/en/"):
        return page_language(request)
    return accepted_language(request.headers.get("accept-language", ""))


def wants_page(headers: Headers) -> bool:
    """Whether the caller would rather read HTML than JSON; a caller who takes anything gets JSON."""
    for kind in by_preference(headers.get("accept", "")):
        if kind in ("text/html", "application/xhtml+xml"):
            return True
        if kind in ("application/json", "application/problem+json", "*/*", "application/*"):
            return False
    return False


def problem_response(problem: Problem, request: Request, error_page: ErrorPage | None = None) -> Response:
    """``problem`` as the caller can read it: an HTML page for a person, problem details (RFC 9457) for a program."""
    correlation = correlation_of(request.scope)
    headers: dict[str, str] = {"Vary": "Accept, Accept-Language"}
    retry_after_s = problem.facts.get("retry_after_s")
    if isinstance(retry_after_s, int):
        headers["Retry-After"] = str(retry_after_s)
    if error_page is not None and wants_page(request.headers):
        language = page_language(request)
        body = problem.as_dict(language) | {"correlation": correlation}
        return HTMLResponse(error_page(request, body, language), status_code=problem.status, headers=headers)
    body = problem.as_dict(answer_language(request)) | {"correlation": correlation}
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


def correlation_of(scope: Scope) -> str:
    """The id that one line of this node's log, the answer and the error page share."""
    return str(scope.get("state", {}).get("correlation", ""))


class Threshold:
    """ASGI middleware: a correlation id per request, headers per answer, a page per failure, one log line."""

    def __init__(self, app: ASGIApp, *, show: Callable[[Request, Exception], Response]) -> None:
        self.app = app
        self.show = show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        correlation = _correlation(Headers(scope=scope))
        scope.setdefault("state", {})["correlation"] = correlation
        secure = scope.get("scheme") == "https"
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), correlation, secure=secure)
            await send(message)

        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(correlation=correlation):
            try:
                await self.app(scope, receive, send_with_headers)
            except Exception as failure:  # the one place where anything unforeseen becomes an answer
                if status:
                    raise  # the answer has begun: only cutting the connection tells the caller that it is not whole
                response = self.show(Request(scope), failure)
                await response(scope, receive, send_with_headers)
            finally:
                log.info(
                    "web.request",
                    method=scope["method"],
                    route=getattr(scope.get("route"), "path", None),
                    status=status,
                    duration_ms=round((time.perf_counter() - started) * 1000, 1),
                )


def _shower(error_page: ErrorPage | None) -> Callable[[Request, Exception], Response]:
    def show(request: Request, failure: Exception) -> Response:
        problem = _as_problem(failure, correlation_of(request.scope))
        response = problem_response(problem, request, error_page)
        if isinstance(failure, HTTPException):
            response.headers.update(failure.headers or {})
        return response

    return show


def _as_problem(failure: Exception, correlation: str) -> Problem:
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, HTTPException):
        return _http_problem(failure)
    log.error("web.failed", error=type(failure).__name__, exc_info=failure)
    return Problem(
        T("The node met an error that it does not know."),
        mend=T("Try again. If it fails again, give the operator the correlation id {correlation}."),
        correlation=correlation,
    )


def _http_problem(failure: HTTPException) -> Problem:
    if failure.status_code == 404:
        return NoSuchPage(T("No page or service lives at this address."), mend=T("Start from the front page."))
    if failure.status_code == 405:
        return WrongMethod(T("This address exists, but not for this method."), mend=T("Read the API description."))
    refused = RequestRefused(T("The request was refused with status {http_status}."), http_status=failure.status_code)
    return refused


def _correlation(headers: Headers) -> str:
    given = headers.get(CORRELATION_HEADER, "")
    return given if _CORRELATION.fullmatch(given) else secrets.token_hex(8)


def _add_headers(headers: MutableHeaders, correlation: str, *, secure: bool) -> None:
    for name, value in SECURITY_HEADERS:
        headers.setdefault(name, value)
    if secure:
        headers.setdefault(*HSTS)
    headers[CORRELATION_HEADER] = correlation
