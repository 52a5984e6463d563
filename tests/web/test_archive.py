"""Issues in the browser: a reader's own copy, the archive, the feed, pictures; and that nothing paid leaks."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.compose.composer import compile_issue
from digest.delivery.publishing import publish_pictures
from digest.errors import HeldError
from digest.newsletter import Newsletter
from digest.web.feed import atom

PAID = "The memo in full"
ATOM = "{http://www.w3.org/2005/Atom}"


def test_reader_sees_own_variant(standing: Any) -> None:
    """Behind the token stands what was sent to this reader: name, paid text, own links; nothing is stored or listed."""
    pages = {who: standing.http.get(f"/view/first/{token}") for who, token in standing.tokens.items()}
    free, paying = pages["ada@example.org"], pages["pia@example.org"]
    assert "Good morning, Ada" in free.text
    assert PAID not in free.text
    assert PAID in paying.text
    assert f"https://news.example.com/u/{standing.tokens['pia@example.org']}" in paying.text
    assert 'name="robots" content="noindex"' in paying.text
    assert '<link rel="canonical" href="https://news.example.com/first">' in paying.text
    assert paying.headers["Cache-Control"] == "private, no-store"


def test_archive_is_for_nobody_in_particular(standing: Any) -> None:
    """The page greets nobody, holds no paid text and no reader's link, and says where it belongs."""
    page = standing.http.get("/first")
    assert "Good morning, and welcome" in page.text
    assert PAID not in page.text
    for token in standing.tokens.values():
        assert token not in page.text
    assert '<link rel="canonical" href="https://news.example.com/first">' in page.text
    assert '<meta property="og:title" content="Three stories: read two">' in page.text
    assert '<meta property="og:description" content="What happened, and what did not">' in page.text
    assert 'property="og:image" content="https://news.example.com/assets/' in page.text
    assert 'href="https://news.example.com/u"' in page.text  # how to leave, without a token


def test_what_was_sent_is_shown(site: Any) -> None:
    """The archive shows the text that was sent, not what became of its file; a later text goes to those who got it."""
    early = site.subscribe("ada@example.org")
    site.send()
    file = site.root / "issues" / "first" / "index.md"
    file.write_text(file.read_text().replace("Words for all.", "Changed words."))
    assert "Words for all." in site.http.get("/first").text
    later = site.subscribe("bob@example.org")
    # The rest of the run gets the changed text, as `send --accept-change` does it.
    site.execute("UPDATE deliveries SET updated_at = 10")
    site.execute(
        "INSERT INTO runs (slug, fingerprint, compiled, state, started_at, ended_at)"
        " SELECT slug, fingerprint, compiled, 'replaced', started_at, 20 FROM runs WHERE slug = 'first'"
    )
    site.execute(
        "UPDATE runs SET compiled = replace(compiled, 'Words for all.', 'Changed words.'), fingerprint = 'other'"
        " WHERE state = 'done'"
    )
    assert "Words for all." in site.http.get(f"/view/first/{early}").text
    assert "Changed words." in site.http.get(f"/view/first/{later}").text
    assert "Changed words." in site.http.get("/first").text


def test_only_what_was_sent_is_there(site: Any) -> None:
    """An issue that no relay has accepted yet is in no list, feed or page."""
    token = site.subscribe("ada@example.org")
    for path in ("/first", f"/view/first/{token}"):
        assert site.http.get(path).status_code == 404
    assert "Three stories" not in site.http.get("/").text
    site.send()
    assert "Three stories" in site.http.get("/").text
    assert "Three stories" in site.http.get("/feed.xml").text


def test_issue_for_paying_readers_is_not_public(tmp_path: Path, newsletter_folder: Any, serve: Any) -> None:
    """An issue whose audience leaves the public reader out is in no list, no feed, no page, not even its title;
    nor may a free reader open it with their own token."""
    root = newsletter_folder(tmp_path / "n")
    issue = root / "issues" / "first" / "index.md"
    issue.write_text(issue.read_text().replace("status: draft", "status: draft\naudience: pro"))
    with serve(root) as site:
        free = site.subscribe("ada@example.org", attributes='{"plan": "free"}')
        paying = site.subscribe("pia@example.org", attributes='{"plan": "pro"}')
        assert len(site.send()) == 1
        for path in ("/", "/first", "/feed.xml", f"/view/first/{free}"):
            assert "Three stories" not in site.http.get(path).text
        assert site.http.get("/first").content == site.http.get("/nothing").content
        assert site.http.get(f"/view/first/{free}").content == site.http.get("/view/first/x").content
        assert PAID in site.http.get(f"/view/first/{paying}").text


def test_subject_for_segments_stays_with_them(tmp_path: Path, newsletter_folder: Any, serve: Any) -> None:
    """Words of the subject that only some get are in no title of the archive."""
    root = newsletter_folder(tmp_path / "n")
    issue = root / "issues" / "first" / "index.md"
    subject = (
        'subject: "Three stories{% if segment.pro %} and the secret memo{% endif %}"\nsubject_for: {pro: Quiet words}'
    )
    issue.write_text(issue.read_text().replace('subject: "Three stories: read two"', subject))
    with serve(root) as site:
        site.subscribe("pia@example.org", attributes='{"plan": "pro"}')
        site.send()
        for path in ("/", "/first", "/feed.xml"):
            text = site.http.get(path).text
            assert "Three stories" in text
            assert "secret" not in text
            assert "Quiet" not in text


MARK = "Zq4paid"
ONLY_PRO = (
    '{{segments="pro"}}\n{word} alone.\n',
    "{{% if segment.pro %}}\n\n{word} in a block.\n\n{{% endif %}}\n",
    "Words{{% if subscriber.plan == 'pro' %}} {word} inline{{% endif %}}.\n",
    "{{% if segment.free %}}\n\nOpen.\n\n{{% elif segment.pro %}}\n\n{word}\n\n{{% else %}}\n\nNo.\n\n{{% endif %}}\n",
    "Words {{% if not segment.pro %}}open{{% elif segment.pro %}}{word}{{% endif %}}.\n",
    "Words {{% if segment.free %}}open{{% else %}}{word}{{% endif %}}.\n",
    "{{{{ '{word}' if segment.pro else 'open' }}}} as an expression.\n",
    "{{% set kept = '{word}' %}}Kept for {{{{ kept if segment.pro else 'nobody' }}}}.\n",
    "{{% for each in ['{word}'] %}}{{% if segment.pro %}}{{{{ each }}}}{{% endif %}}{{% endfor %}} counted.\n",
    "{{% for tag in subscriber.tags %}}Chosen: {{{{ tag }}}}{word}{{% endfor %}} of them.\n",
    "{{% if received('earlier') %}}{word}, again{{% endif %}} to everybody.\n",
    "{{% if segment.pro and arm in ('a', 'b') %}}{word} in an arm{{% endif %}} of two.\n",
    '::: only {{segments="pro"}}\n{{segments="arm.a, arm.b"}}\n{word} in either arm.\n:::\n',
    "To {{{{ subscriber.company | default('your house') }}}}.{{% if segment.pro %}}{word}{{% endif %}}\n",
    '::: only {{segments="!free"}}\n{word} in a block.\n:::\n',
    '::: only {{segments="!free"}}\n::: story\n## {word}\n\nA story.\n:::\n:::\n',
    '::: sponsor {{by="Harbour {word}" segments="pro"}}\n**{word}.** Buy.\n:::\n',
    '::: roundup\n## Items\n### Open\nYes.\n### {word} {{segments="pro"}}\nNo.\n:::\n',
    "::: contents\n:::\n\n::: roundup\n## News\n"
    '### Title {{#id{n} short="{word}" segments="pro"}}\nText.\n### Open\nYes.\n:::\n',
    "[link{{% if segment.pro %}} {word}{{% endif %}}](https://example.com/)\n",
    "[link](https://example.com/{{% if segment.pro %}}{word}{{% endif %}})\n",
    '{{segments="pro"}}\n![{word}](field.png "{word}")\n',
    "![A field{{% if segment.pro %}} {word}{{% endif %}}](field.png)\n",
    '{{segments="pro"}}\n- {word}\n- [{word}](https://example.com/{word})\n',
    '{{segments="pro"}}\n> {word}, they said.\n',
    '{{segments="pro"}}\n| A | B |\n|---|---|\n| {word} | 2 |\n',
    '{{segments="pro"}}\nA remark.[^n{n}]\n\n[^n{n}]: {word} below.\n',
    '{{segments="pro"}}\nSee [the memo][ref{n}].\n\n[ref{n}]: https://example.com/{word} "{word}"\n',
)
"""Ways to write what only paying readers get; each alone, or beside others."""
HEADS = (
    'subject: "Open{{% if segment.pro %}} {word}{{% endif %}}"',
    "subject: Open\nsubject_for: {{pro: {word}}}",
    'subject: Open\npreheader: "Open{{% if segment.pro %}} {word}{{% endif %}}"',
    "subject: \"Open {{{{ subscriber.company | default('') }}}}\"",
)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory, newsletter_folder: Any, serve: Any) -> Iterator[Any]:
    """Pages of a newsletter with a free and a paying reader; all that is known of the second is marked."""
    root = newsletter_folder(tmp_path_factory.mktemp("leak") / "n")
    readers = root / "config" / "readers.toml"
    readers.write_text(readers.read_text().replace("[segments]", 'company = "string"\n[segments]'))
    with serve(root, {"delivery.max_change": "1000%"}) as site:
        site.subscribe("ada@example.org", attributes='{"plan": "free"}')
        values = {"tags": f'["{MARK}-tag"]', "name": f"{MARK}-name", "language": "en"}
        site.subscribe("pia@example.org", attributes=f'{{"plan": "pro", "company": "{MARK}-company"}}', **values)
        earlier = (root / "issues" / "first" / "index.md").read_text().replace("status: draft", "audience: pro")
        shutil.copytree(root / "issues" / "first", root / "issues" / "earlier")
        (root / "issues" / "earlier" / "index.md").write_text(earlier)
        site.send("earlier")
        yield site


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(head=st.sampled_from(HEADS), ways=st.lists(st.sampled_from(ONLY_PRO), min_size=14, unique=True))
def test_paid_text_never_leaks(paper: Any, head: str, ways: list[str]) -> None:
    """However a paid passage is written, alone or beside others, no public page holds a word of it, nor the copy of a
    reader who does not pay; who pays gets all of it."""
    words = [f"{MARK}{n:02d}x" for n in range(len(ways))]
    body = "\n".join(way.format(word=word, n=n) for n, (way, word) in enumerate(zip(ways, words, strict=True)))
    slug = f"issue-{hashlib.sha256((head + body).encode()).hexdigest()[:12]}"
    front = f"---\n{head.format(word=f'{MARK}head')}\ndate: 2025-09-12\nstatus: draft\n---\n\n"
    folder = paper.root / "issues" / slug
    if folder.exists():
        return
    shutil.copytree(paper.root / "issues" / "first", folder)
    (folder / "index.md").write_text(
        f"{front}# Open words\n\nGood morning {{{{ subscriber.first_name | default('all') }}}}.\n\n{body}"
    )
    paper.send(slug)
    open_to = ["/", f"/{slug}", "/feed.xml", f"/view/{slug}/{paper.tokens['ada@example.org']}"]
    for path in open_to:
        text = paper.http.get(path).text
        assert "Open" in text
        assert MARK not in text, (path, text[max(0, text.index(MARK) - 300) : text.index(MARK) + 100])
    paid = paper.http.get(f"/view/{slug}/{paper.tokens['pia@example.org']}").text
    assert [word for word in words if word not in paid] == []


def test_feed_is_atom(standing: Any) -> None:
    """The feed has what RFC 4287 asks for, with whole addresses, and answers 304 to who has it."""
    answer = standing.http.get("/feed.xml")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(answer.content)
    for name in ("id", "title", "updated", "author"):
        assert feed.find(ATOM + name) is not None
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links == {"self": "https://news.example.com/feed.xml", "alternate": "https://news.example.com/"}
    (entry,) = feed.findall(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}id") == "https://news.example.com/first"
    assert entry.findtext(f"{ATOM}title") == "Three stories: read two"
    assert entry.findtext(f"{ATOM}summary") == "What happened, and what did not"
    again = standing.http.get("/feed.xml", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@given(title=st.text(max_size=40), summary=st.text(max_size=40))
def test_feed_holds_any_text(title: str, summary: str) -> None:
    """Whatever a title holds, the feed is well-formed."""
    from datetime import UTC, date, datetime

    from digest.sections import NewsletterSection
    from digest.web.addresses import Addresses
    from digest.web.issues import PublicIssue

    newsletter = NewsletterSection(
        name=f"N & {'<'}", sender="a@example.com", domain="example.com", base_url="https://example.com"
    )
    issue = PublicIssue("a", title, date(2025, 9, 12), "en", datetime(2025, 9, 12, tzinfo=UTC), summary, "", "f")
    text, _ = atom(newsletter, Addresses("https://example.com", ""), [issue])
    ElementTree.fromstring(text)


def test_pictures_are_served_and_kept(site: Any) -> None:
    """A sent issue's picture is made when it is asked for, and stays when its source is gone; other names are not."""
    site.subscribe("ada@example.org")
    assert site.http.get(f"/assets/{'0' * 16}.png").status_code == 404
    site.send()
    page = site.http.get("/first").text
    path = page.split('src="', 1)[1].split('"')[0]
    assert path.startswith("/assets/")
    answer = site.http.get(path)
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    (site.root / "issues" / "first" / "field.png").unlink()
    assert site.http.head(path).status_code == 200
    for name in ("..%2f..%2fconfig%2fdigest.toml", "%2e%2e%2fdigest.db", ".png", "x.svg", "a.png%00"):
        assert site.http.get(f"/assets/{name}").status_code == 404


def test_own_pictures_need_no_setting(folder: Path, serve: Any) -> None:
    """Where the pages show the pictures, a first send puts them there itself and then sees each, as a reader will."""
    with serve(folder) as site:
        elsewhere = {"newsletter.base_url": site.url, "assets.base_url": f"{site.url}/assets"}
        newsletter = Newsletter.open(folder, {**elsewhere, "smtp.host": "smtp.example.com"})
        compiled = compile_issue(newsletter, newsletter.find_issue("first"))
        (picture,) = compiled.pictures
        assert site.http.head(f"/assets/{picture.name}").status_code == 404
        publish_pictures(newsletter, compiled)
        assert site.http.head(f"/assets/{picture.name}").headers["content-type"] == "image/png"
        (folder / "pictures" / picture.name).unlink()
        (folder / "pictures").rmdir()
        (folder / "pictures").write_text("in the way")
        with pytest.raises(HeldError, match=r"web\.pictures"):
            publish_pictures(newsletter, compiled)


def test_published_pictures_are_served_at_once(folder: Path, serve: Any) -> None:
    """What assets.publish copies into the folder of the pages is served, as it was published."""
    with serve(folder, {"assets.publish": ["cp", "-R", "{folder}/.", "pictures"]}) as site:
        site.subscribe("ada@example.org")
        site.send()
        (picture,) = (folder / "pictures").iterdir()
        assert site.http.head(f"/assets/{picture.name}").headers["content-type"] == "image/png"


def test_attached_pictures_are_shown(folder: Path, serve: Any) -> None:
    """An issue that carried its pictures shows them in the browser too."""
    with serve(folder, {"assets.mode": "cid"}) as site:
        token = site.subscribe("ada@example.org")
        site.send()
        for path in ("/first", f"/view/first/{token}"):
            page = site.http.get(path).text
            assert "cid:" not in page
            picture = page.split('src="', 1)[1].split('"')[0]
            assert site.http.get(picture).status_code == 200


def test_a_base_with_a_path(folder: Path, serve: Any) -> None:
    """Below a path of the site everything works, whether the proxy takes the path away or not."""
    overrides = {
        "newsletter.base_url": "https://www.example.com/news",
        "unsubscribe.url": "https://www.example.com/out",
    }
    with serve(folder, overrides) as site:
        token = site.subscribe("ada@example.org")
        for start in ("", "/news"):
            page = site.http.get(f"{start}/u/{token}")
            assert f'action="/news/u/{token}"' in page.text
            assert site.http.get(f"{start}/").status_code == 200
        assert site.http.post(f"/out/{token}").status_code == 200
        assert site.status("ada@example.org") == "unsubscribed"


def test_pages_of_the_list(site: Any) -> None:
    """A long archive has pages, older and newer ones linked; a page too far is not there."""
    site.subscribe("ada@example.org")
    site.send()
    for n in range(30):
        site.execute(
            "INSERT INTO runs (slug, fingerprint, compiled, state, started_at, ended_at)"
            " SELECT ?, fingerprint || ?, compiled, state, started_at, ended_at FROM runs WHERE slug = 'first'",
            f"copy-{n}",
            n,
        )
    site.execute(
        "INSERT INTO deliveries (run_id, subscriber_id, state, updated_at)"
        " SELECT r.id, 1, 'accepted', 0 FROM runs r WHERE slug LIKE 'copy-%'"
    )
    first, second = site.http.get("/").text, site.http.get("/?page=2").text
    assert (first.count("<li>"), second.count("<li>")) == (25, 6)
    assert 'href="?page=2"' in first
    assert 'href="?page=1"' in second
    for wrong in ("99", "-1", "x", "999999999999"):
        assert site.http.get(f"/?page={wrong}").status_code in (200, 404)


@pytest.fixture(params=["/", "/first", "/feed.xml", "/u", "/healthz"])
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address that everybody knows."""
    return request.param


def test_every_answer_is_guarded(standing: Any, path: str) -> None:
    """Every answer has its policy, sets no cookie, sends no referrer, and names no server."""
    answer = standing.http.get(path)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not {"set-cookie", "server"} & set(answer.headers)
