"""The inbox as pages: the list, one message with all its parts, its download, and how the server behaves."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from digest.preview.csrf import TOKEN, form_of
from digest.preview.inbox import BEHAVIOURS, Inbox, Received
from digest.preview.issue_pages import with_local_pictures
from digest.preview.pages import email_document, saved_as
from digest.preview.shell import Shell

LISTED = 200
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_TABS = {"html": "Email", "text": "Plain text", "headers": "Headers", "attachments": "Attachments", "source": "Source"}


class MailPages:
    """Handlers; each runs in a worker thread."""

    def __init__(self, shell: Shell, inbox: Inbox) -> None:
        self._shell = shell
        self._inbox = inbox

    def list(self, request: Request) -> Response:
        """The messages, latest first, filtered by the words searched for."""
        words = request.query_params.get("q", "")[:200]
        reader = request.query_params.get("reader", "")[:320]
        rows = self._inbox.summaries()
        found = [row for row in rows if row.matches(words) and reader in ("", row.recipient)]
        return self._page(
            "inbox.html",
            rows=found[::-1][:LISTED],
            total=len(found),
            q=words,
            reader=reader,
            readers=Counter(row.recipient for row in rows).most_common(LISTED),
            behaviours=BEHAVIOURS,
            address=self._inbox.address,
            csrf=TOKEN,
        )

    async def behave(self, request: Request) -> Response:
        """Let the server accept, defer or refuse from now on."""
        fields = await form_of(request)
        wanted = fields.get("behaviour", "")
        if wanted not in BEHAVIOURS:
            raise HTTPException(400, "There is no such behaviour.")
        self._inbox.behaviour = wanted
        return RedirectResponse("/inbox", status_code=303)

    def message(self, request: Request) -> Response:
        """One message: email, text, headers, attachments or source."""
        message = self._message(request)
        parts = [part for part, _ in message.parts()]
        html, text = message.html(), message.text()
        there = {"html": html is not None, "text": text is not None, "attachments": bool(parts)}
        tabs = [(key, label) for key, label in _TABS.items() if there.get(key, True)]
        wanted = request.query_params.get("part", "")
        tab = wanted if wanted in dict(tabs) else tabs[0][0]
        return self._page(
            "message.html",
            message=message,
            summary=message.summary(),
            from_=message.header("From") or message.mail_from,
            tabs=tabs,
            tab=tab,
            text=text or "",
            headers=message.headers() if tab == "headers" else [],
            parts=parts,
            source=message.data.decode("utf-8", "replace") if tab == "source" else "",
            earlier=message.number - 1,
            later=message.number + 1 if message.number < len(self._inbox) else 0,
        )

    def html(self, request: Request) -> Response:
        """The HTML part alone, for the frame; pictures it carries itself are shown from it."""
        message = self._message(request)
        base = f"/inbox/{message.number}/part/"
        html = re.sub(
            r"(?<=[\"'(])cid:([^\"')\s]{1,300})",
            lambda match: base + quote(match[1], safe=""),
            message.html() or "",
        )
        # What this newsletter publishes may not be published yet: it is shown from the folder.
        for look in self._shell.workbench.looks():
            html = with_local_pictures(html, look)
        return email_document(html, self._shell.port)

    def part(self, request: Request) -> Response:
        """A picture inside the message, by its Content-ID (RFC 2392)."""
        wanted = request.path_params["cid"]
        for part, data in self._message(request).parts():
            if part.cid == wanted and part.content_type in _PICTURES:
                return Response(data, media_type=part.content_type)
        raise HTTPException(404, "There is no such picture in this message.")

    def attachment(self, request: Request) -> Response:
        """One attachment as a file to keep: bytes of whoever sent them, which no browser is to open by itself."""
        wanted = request.path_params["part"]
        for part, data in self._message(request).parts():
            if part.number == wanted:
                headers = {"Content-Disposition": saved_as(part.filename or f"part-{part.number}")}
                return Response(data, media_type="application/octet-stream", headers=headers)
        raise HTTPException(404, "There is no such attachment in this message.")

    def download(self, request: Request) -> Response:
        """The message as it came over the wire."""
        message = self._message(request)
        headers = {"Content-Disposition": saved_as(f"message-{message.number}.eml")}
        return Response(message.data, media_type="message/rfc822", headers=headers)

    def _message(self, request: Request) -> Received:
        message = self._inbox.get(request.path_params["number"])
        if message is None:
            raise HTTPException(404, "There is no such message.")
        return message

    def _page(self, name: str, **context: object) -> HTMLResponse:
        return self._shell.page(name, "inbox", context)
