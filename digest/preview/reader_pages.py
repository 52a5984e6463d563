"""Where the links of a practice email lead: the reader's own view, and a way out that changes nothing."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest.compose.marks import without_marks
from digest.message.merge import MergeError
from digest.preview.issue_pages import with_local_pictures
from digest.preview.pages import email_document
from digest.preview.shell import Shell


class ReaderPages:
    """Handlers; each runs in a worker thread."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._workbench = shell.workbench

    def view(self, request: Request) -> Response:
        """The issue as the reader of this link got it; for an unknown link, as anybody may read it."""
        look = self._workbench.look(request.path_params["slug"])
        if look is None or look.twin is None:
            raise HTTPException(404, "There is no such issue.")
        audience = self._workbench.audience(look)
        reader = audience.by_token(request.path_params["token"]) or audience.find("").subscriber
        if reader is None:
            raise HTTPException(404, "There is no such reader.")
        try:
            rendering = look.twin.rendering(reader, "real")
        except MergeError as exc:
            raise HTTPException(404, str(exc.problem)) from exc
        return email_document(with_local_pictures(without_marks(rendering.html), look), self._shell.port)

    def leave(self, request: Request) -> Response:
        """What the unsubscribe link would do. A GET changes nothing (link scanners fetch it); nor does this POST."""
        reader = self._workbench.audience().by_token(request.path_params["token"])
        who = reader.email if reader else "the reader of this link"
        done = request.method == "POST"
        inbox = self._shell.inbox is not None
        return self._shell.notice(
            "Nothing was changed" if done else f"Leave {self._shell.name}?",
            (
                f"On the real page, {who} would now be off the list. This is practice: the list is as it was."
                if done
                else f"On the real page, this button takes {who} off the list at once."
            ),
            button="" if done else "Unsubscribe",
            back="/inbox" if inbox else "/",
            back_label="Back to the inbox" if inbox else "All issues",
        )
