"""What can be done from an issue's page: a test, a dry run, a date, opening a file.

Everything here is a POST from one of our own forms (see `csrf`). Nothing sends to the list: that stays with
``digest send`` and its question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest.audience.address import AddressError, parse_address
from digest.compose.compiled import CompiledIssue
from digest.delivery.deliver import rehearse
from digest.delivery.outcome import Accepted, Deferred, Outcome, Unknown
from digest.delivery.plan import by_reason
from digest.delivery.trial import send_test
from digest.errors import DigestError, InputError, LaterError, Problem, UsageError
from digest.preview.csrf import form_of
from digest.preview.marks import place_of
from digest.preview.shell import Shell
from digest.preview.workbench import Look

Fields = Mapping[str, str]


class Actions:
    """Handlers of POST requests; the work is done in a worker thread."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._workbench = shell.workbench

    async def test(self, request: Request) -> Response:
        """Send a test to the test list or to one address, as the reader that is shown if so wished."""
        return await self._do(request, "Test", self._test)

    async def rehearse(self, request: Request) -> Response:
        """The dry run: the plan, with nothing sent or recorded."""
        return await self._do(request, "Dry run", self._rehearse)

    async def schedule(self, request: Request) -> Response:
        """Write a date into the issue, and make it ready."""
        return await self._do(request, "Schedule", self._schedule)

    async def unschedule(self, request: Request) -> Response:
        """Take the date out: a draft again."""
        return await self._do(request, "Schedule", self._unschedule)

    async def open(self, request: Request) -> Response:
        """Open a place in the editor."""
        fields = await form_of(request)
        place = place_of(fields.get("place"))
        if self._shell.editor is None or place is None:
            raise HTTPException(400, "Start the preview with --editor to open files from here.")
        try:
            self._shell.editor.open(self._workbench.newsletter.root, place)
        except UsageError as exc:
            raise HTTPException(400, str(exc)) from exc
        return self._shell.notice("Opened", f"{place} is open in {self._shell.editor.name}.")

    async def _do(self, request: Request, title: str, act: Callable[[Look, Fields], dict[str, object]]) -> Response:
        fields = await form_of(request)

        def done() -> Response:
            look = self._shell.look(request)
            problems: tuple[Problem, ...] = ()
            result: dict[str, object] = {}
            try:
                result = act(look, fields)
            except InputError as exc:
                problems = exc.problems
            except LaterError as exc:
                problems = (Problem(None, str(exc), "nothing is lost; try again later"),)
            except DigestError as exc:
                problems = (Problem(None, str(exc)),)
            told = {"title": title, "look": look, "problems": problems, "result": result}
            return self._shell.page("result.html", "issues", told)

        return await run_in_threadpool(done)

    def _test(self, look: Look, fields: Fields) -> dict[str, object]:
        compiled = _sound(look)
        addresses: list[str] = []
        if fields.get("to") == "address":
            addresses = [_address(fields.get("address", ""))]
        reader = None
        if fields.get("as") == "shown":
            reader = self._workbench.audience(look).find(fields.get("reader", "")).subscriber
        # A practice inbox is no relay: what it took is no test that opens the way to the list.
        report = send_test(
            self._workbench.newsletter, compiled, addresses, reader=reader, record=self._shell.inbox is None
        )
        copies = [(copy.address, copy.because, *_words(outcome)) for copy, outcome in report.results]
        return {"copies": copies, "good": report.exit_code == 0, "practice": self._shell.inbox is not None}

    def _rehearse(self, look: Look, _: Fields) -> dict[str, object]:
        plan = rehearse(self._workbench.newsletter, _sound(look))
        return {"plan": plan, "excluded": by_reason(plan.head.excluded)}

    def _schedule(self, look: Look, fields: Fields) -> dict[str, object]:
        from digest.schedule.hands import set_schedule

        try:
            when = datetime.fromisoformat(fields.get("when", ""))
        except ValueError as exc:
            raise InputError(Problem(None, "that is no date and time", "such as 2025-09-12 09:00")) from exc
        moment = set_schedule(self._workbench.newsletter, look.file, when.replace(tzinfo=None))
        return {"scheduled": moment}

    def _unschedule(self, look: Look, _: Fields) -> dict[str, object]:
        from digest.schedule.hands import unset_schedule

        unset_schedule(self._workbench.newsletter, look.file)
        return {"unscheduled": True}


def _sound(look: Look) -> CompiledIssue:
    """The issue as it is written now. Raises `InputError` while it can't be composed."""
    if look.problems or look.compiled is None:
        raise InputError(look.problems)
    return look.compiled


def _address(text: str) -> str:
    try:
        return parse_address(text.strip()).wire
    except AddressError as exc:
        raise InputError(Problem(None, f"“{text}” {exc}", "such as ada@example.com")) from exc


def _words(outcome: Outcome) -> tuple[str, str, str]:
    """An outcome as the page tells it: a class, words, the relay's reply."""
    match outcome:
        case Accepted():
            return "good", "accepted by the relay", outcome.reply
        case Deferred():
            return "warn", "deferred", f"{outcome.code or ''} {outcome.reply}".strip()
        case Unknown():
            return "warn", "unknown, it may have arrived", outcome.reason
        case _:
            return "bad", "refused", f"{outcome.code or ''} {outcome.reply}".strip()
