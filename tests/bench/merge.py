"""How fast messages are made: microseconds each, and against Jinja with `email.message.EmailMessage`.

Run it alone: ``python tests/bench/merge.py [readers]``. Every reader differs in name, company, plan and
token; the HTML is 50 KB with about thirty values and ten conditions. `parsed` is checked first: what is
timed is right.
"""

from __future__ import annotations

import email
import email.policy
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jinja2

from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.compose.handmade import handmade
from digest.message.audit import audit
from digest.message.identity import TOKEN
from digest.message.merge import Identity, Merger

NOW = datetime(2025, 9, 12, 9, 0, tzinfo=UTC)
HTML_SIZE = 50_000
ALTERNATE_EVERY = 50  # the slow way is timed on every 50th reader

_STYLE = "font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5;color:#1c2330;padding:0 24px"
_SENTENCE = "The memorandum binds nobody, and yet everyone in the building has read it twice “to be sure”. "


def _section(number: int) -> str:
    paragraph = f'<p style="{_STYLE}">{_SENTENCE * 6}</p>\n'
    value = (
        f'<p style="{_STYLE}">For {{{{ subscriber.name }}}} at {{{{ subscriber.company }}}}: '
        f'<a href="https://example.com/{number}?to={{{{ (subscriber.plan) | urlpart }}}}">read on</a></p>\n'
    )
    return f"<h2>Section {number}</h2>\n{paragraph * 5}{value}" + (
        "{% if segment['pro'] %}<p>For professionals.</p>\n{% else %}<p>For all.</p>\n{% endif %}"
    )


def sample_issue() -> CompiledIssue:
    """A made-up issue of 50 KB."""
    body = ""
    number = 0
    while len(body.encode()) < HTML_SIZE:
        number += 1
        body += _section(number)
    leave = '<a href="{{ (links.unsubscribe) | link }}">Leave</a> <a href="{{ (links.view) | link }}">View</a>'
    html = f"<!DOCTYPE html>\n<html><body>\n{body}{leave}\n</body></html>\n"
    text = "Good morning {{ subscriber.name }},\n\n" + f"{_SENTENCE * 4}\n\n" * 12
    text += "{% if segment['pro'] %}For professionals.\n{% endif %}Leave: {{ (links.unsubscribe) | link }}\n"

    return handmade(
        "issues/bench.md",
        subject="{{ subscriber.name }}, your “briefing”",
        html=html,
        text=text,
        segments={"pro": "subscriber.plan == 'pro'"},
        conditions=["segment['pro']"],
    )


def readers(count: int) -> Iterator[Subscriber]:
    """Readers who all differ; every tenth has a name that needs escaping."""
    for n in range(count):
        name = f"Zoë “Z” O'Neil-{n} <z>" if n % 10 == 0 else f"Reader Number {n}"
        values = {
            "email": f"reader{n}@example.com",
            "name": name,
            "company": f"Company {n}",
            "plan": ("free", "pro")[n % 2],
            "tags": (),
        }
        yield Subscriber(n + 1, f"token{n:020}", f"reader{n}@example.com", values=values)


IDENTITY = Identity(
    sender="The Sample Weekly <weekly@news.example.com>",
    reply_to="editor@news.example.com",
    domain="news.example.com",
    list_name="The Sample Weekly",
    unsubscribe_url="https://news.example.com/u",
    unsubscribe_mailto="leave@news.example.com",
    one_click=True,
    return_path="bounces@news.example.com",
    base_url="https://news.example.com",
)


class SlowWay:
    """What most senders do: render with Jinja, let `email` build and flatten the message."""

    def __init__(self, compiled: CompiledIssue) -> None:
        environment = jinja2.Environment(autoescape=True)
        environment.filters.update(link=str, urlpart=environment.filters["urlencode"])
        self._subject = jinja2.Template(compiled.subject.source)
        self._html = environment.from_string(compiled.html.source)
        self._text = environment.from_string(compiled.text.source)

    def message(self, subscriber: Subscriber) -> bytes:
        """One message, nearly the same as ours."""
        token = subscriber.token
        links = {
            "unsubscribe": IDENTITY.unsubscribe_pattern().replace(TOKEN, token),
            "view": IDENTITY.view_pattern("bench").replace(TOKEN, token),
        }
        context = {
            "subscriber": subscriber.values,
            "segment": {"pro": subscriber.values["plan"] == "pro"},
            "links": links,
        }
        message = EmailMessage(policy=email.policy.SMTP)
        message["From"] = IDENTITY.sender
        message["To"] = email.headerregistry.Address(subscriber.name, addr_spec=subscriber.email)
        message["Subject"] = self._subject.render(context)
        message["Date"] = NOW
        message["Message-ID"] = f"<{token}@news.example.com>"
        message["List-Unsubscribe"] = f"<{links['unsubscribe']}>"
        message.set_content(self._text.render(context), cte="quoted-printable")
        message.add_alternative(self._html.render(context), subtype="html", cte="quoted-printable")
        return message.as_bytes()


def timed(make: Callable[[Subscriber], object], subscribers: list[Subscriber]) -> float:
    """Microseconds of processor time per reader."""
    start = time.process_time()
    for subscriber in subscribers:
        make(subscriber)
    return (time.process_time() - start) / len(subscribers) * 1e6


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    compiled = sample_issue()
    start = time.process_time()
    merger = Merger(compiled, IDENTITY, today=NOW.date())
    compiling = (time.process_time() - start) * 1e3
    subscribers = list(readers(count))

    message = merger.message(subscribers[0], date=NOW)
    parsed = email.message_from_bytes(message.data, policy=email.policy.default)
    body = parsed.get_body(("html",))
    rendering = merger.rendering(subscribers[0], "real")
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == rendering.html
    assert parsed["Subject"] == rendering.subject

    ours = timed(lambda s: merger.message(s, date=NOW), subscribers)
    slow = SlowWay(compiled)
    theirs = timed(slow.message, subscribers[::ALTERNATE_EVERY])
    variants = timed(merger.variant, subscribers)
    start = time.process_time()
    assert audit(merger, subscribers) == []
    audited = (time.process_time() - start) / count * 1e6

    print(f"HTML {len(rendering.html.encode()):,} bytes, message {len(message.data):,} bytes, {count:,} readers")
    print(f"compile once                {compiling:10.1f} ms")
    print(f"message                     {ours:10.1f} µs each, {1e6 / ours:,.0f} a second")
    print(f"Jinja + EmailMessage        {theirs:10.1f} µs each (every {ALTERNATE_EVERY}th reader)")
    print(f"ratio                       {theirs / ours:10.1f}")
    print(f"variant                     {variants:10.1f} µs each")
    print(f"audit                       {audited:10.1f} µs each")


if __name__ == "__main__":
    main()
