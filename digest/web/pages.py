"""Our own pages: Jinja templates with escaping on, in the language of whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from digest.compose.dates import long_date
from digest.sections import split_mailbox
from digest.settings import Settings
from digest.web.addresses import Addresses
from digest.web.look import Look
from digest.web.words import Words, accepted, choose, languages

LARGEST_FORM = 16_384  # bytes; the longest that a page of ours sends is a tenth of it
_MOST_FIELDS = 60

Form = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Button:
    """One press that changes something. `one_click`: as a mail provider would (RFC 8058)."""

    label: str
    action: str
    one_click: bool = False


class Pages:
    """Makes the answers."""

    def __init__(self, settings: Settings, addresses: Addresses, look: Look) -> None:
        self.settings = settings
        self.addresses = addresses
        self.look = look
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "newsletter": settings.newsletter,
            "look": look,
            "link": addresses.local,
            "joining": settings.signup.enabled,
            "listed": False,
            "long_date": long_date,
        }

    def words(self, request: Request, reader: str = "") -> Words:
        """In the reader's language, else the browser's, else the newsletter's."""
        own = self.settings.newsletter.language
        wishes = [] if reader else accepted(request.headers.get("accept-language", ""))
        readable = [tag for tag in wishes if tag.lower().partition("-")[0] in languages()]
        language = choose(reader, *readable, own)
        return Words(language, languages()[language], {"newsletter": self.settings.newsletter.name})

    def page(
        self, request: Request, template: str, /, *, status: int = 200, language: str = "", **context: object
    ) -> HTMLResponse:
        """The page of a template; `language` is the reader's, when there is one."""
        say = self.words(request, language)
        html = self._environment.get_template(template).render(say=say, **context)
        headers = {"Content-Language": say.language} | ({} if language else {"Vary": "Accept-Language"})
        return HTMLResponse(html, status_code=status, headers=headers)

    def notice(
        self,
        request: Request,
        title: str,
        *texts: str,
        status: int = 200,
        language: str = "",
        button: tuple[str, str] | None = None,
        one_click: bool = False,
        regret: str = "",
        links: tuple[tuple[str, str], ...] = (),
        contact: bool = False,
    ) -> HTMLResponse:
        """A page of a title and a few sentences, by the names of their words (``leave.title``).

        `button` is its words and where it posts to; `regret` where leaving is taken back; `links` are words and
        addresses; `contact` adds how to reach a person.
        """
        say = self.words(request, language)
        return self.page(
            request,
            "notice.html",
            status=status,
            language=language,
            title=say(title),
            texts=[say(text) for text in texts],
            button=Button(say(button[0]), button[1], one_click) if button else None,
            regret=regret,
            links=[(say(label), address) for label, address in links],
            contact=self._contact() if contact else "",
        )

    def _contact(self) -> str:
        newsletter = self.settings.newsletter
        return split_mailbox(newsletter.reply_to or newsletter.sender)[1]


async def body(request: Request) -> bytes:
    """What was posted. Raises `HTTPException` (413) once it is more than `LARGEST_FORM`, without reading the rest."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > LARGEST_FORM:
            raise HTTPException(413)
    return data


async def form(request: Request) -> Form:
    """The fields of a form (``application/x-www-form-urlencoded``). Raises `HTTPException` (400, 413)."""
    try:
        text = (await body(request)).decode("utf-8")
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as exc:  # not UTF-8, or too many fields
        raise HTTPException(400) from exc


def first(fields: Form, name: str) -> str:
    """The first value of a field, without spaces around it, or nothing."""
    return fields.get(name, [""])[0].strip()
