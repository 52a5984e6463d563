"""What every page of the workbench shares: the newsletter, the inbox, the editor, and how a page is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from digest.preview.editor import Editor
from digest.preview.inbox import Inbox
from digest.preview.pages import page
from digest.preview.workbench import Look, Workbench
from digest.sections import split_mailbox


@dataclass(frozen=True, slots=True)
class Shell:
    """One workbench on one port. `inbox`: tests go there. `editor`: places can be opened in it."""

    workbench: Workbench
    port: int
    inbox: Inbox | None = None
    editor: Editor | None = None

    @property
    def name(self) -> str:
        """The newsletter's name."""
        return self.workbench.newsletter.settings.newsletter.name

    def sender_name(self, sender: str = "") -> str:
        """The sender as a mailbox lists it."""
        name, address = split_mailbox(sender or self.workbench.newsletter.settings.newsletter.sender)
        return name or address

    def look(self, request: Request) -> Look:
        """The issue that the path of a request names, as it is now. Answers 404."""
        return self.look_at(request.path_params["slug"])

    def look_at(self, slug: str) -> Look:
        """An issue as it is now. Answers 404."""
        look = self.workbench.look(slug)
        if look is None:
            raise HTTPException(404, f"There is no issue “{slug}”.")
        return look

    def page(self, template: str, here: str, context: Mapping[str, object], status: int = 200) -> HTMLResponse:
        """One of our own pages; `here` is the part of the navigation it belongs to."""
        frame = {"newsletter_name": self.name, "inbox": self.inbox, "here": here}
        return page(template, frame | dict(context), status)

    def notice(
        self,
        title: str,
        text: str,
        *,
        button: str = "",
        back: str = "/",
        back_label: str = "All issues",
        status: int = 200,
    ) -> HTMLResponse:
        """A page that says one thing, with one button at most."""
        about = {"title": title, "text": text, "button": button, "back": back, "back_label": back_label}
        return self.page("notice.html", "", about, status)
