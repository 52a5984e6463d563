"""The sample issue retells a real edition: every fact of it, and none of its sentences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from digest.compose.composer import compile_issue
from digest.issue.model import Issue, Node
from digest.issue.parser import read_issue
from digest.newsletter import Newsletter

ROOT = Path(__file__).parents[2]
FILE = ROOT / "issues" / "2025-09-12-coopetition" / "index.md"

FACTS = {
    "hero": "coopetition|OpenAI|Microsoft|Elon Musk|OpenAI is going to eat Microsoft alive",
    "intro": "12 September 2025|memorandum|Public Benefit Corporation|$300B|Oracle|Mistral AI|€1.7B"
    "|Alibaba|Qwen3-Next|Qwen3-ASR|Perplexity|$0.25",
    "memo": "OpenAI|Microsoft|memorandum of understanding|non-binding|no court would enforce|for-profit arm"
    "|Public Benefit Corporation (PBC)|nonprofit|more than $100 billion|earlier edition",
    "qwen": "Alibaba|Qwen3|Qwen3-Next|large language model|hybrid|longer contexts|quality|Qwen3-ASR|noisy"
    "|“Flash”|real time",
    "perplexity": "Perplexity for Government|U.S. federal agencies|most capable models|secure by default|stored"
    "|Enterprise Pro|$0.25|agency|first 15 months|OpenAI and Anthropic|$1|loss leaders",
    "mistral": "French|Mistral|Series C|€1.7B|€11.7B|ASML|Dutch|semiconductor|frontier AI|industry and government"
    "|independent and European|U.S. and Asian|mega-rounds|Silicon Valley",
    "oracle": "$300B|five years|Oracle|computing power|more than 35%|Larry Ellison|founder"
    "|richest person in the world|Microsoft",
    "course": "New course|software development|Windsurf",
    "deeper-look": "Microsoft|OpenAI|coopetition|GPT-3|Copilot|ouster|Altman"
    # how the alliance was made
    "|2015|nonprofit laboratory|2019|$1B investment|exclusive|Azure|AGI"
    # how it was redrawn
    "|Mid-2025|$13–14B|near-half stake|for-profit|IPO|“holding out”|veto|exclusivity clauses|September 2025"
    "|non-binding|raise capital|multiple clouds|major investor"
    # partners and rivals
    "|GPT-5|enterprises|consumers|models of its own|Google|$300 billion|2027|Anthropic’s Claude|Office 365"
    # the provocation
    "|Elon Musk on X in August|OpenAI is going to eat Microsoft alive|Bing Chat|Office Copilot"
    "|Azure AI services|roadmap|supplier|PBC|exceeds $100B|governance|independence",
    "endgame": "What do you think|2030",
    "what-next": "regulators|nonprofit’s board|more than $100B|philanthropies|2030",
    "use-cases": "Google DeepMind|Caltech|Gran Sasso Science Institute|LIGO|gravitational-wave|Deep Loop Shaping"
    "|30–100 times|black holes|neutron stars|galaxies evolve"
    "|Anthropic|over 74,000|Claude.ai|Northeastern University|curriculum|academic research|chemistry simulation"
    "|quiz|grading|partner to think with"
    "|Instituto PROA|nonprofit|Brazil|Llama|Oracle Cloud|Portuguese|30 minutes|five|60x|35,000 students a year"
    "|multimodal",
    "wisdom": "Tokens of wisdom|We believe in hybrid teams|supercharged with AIs|Karen Ng|Head of Product|HubSpot"
    "|DataFramed|humans and agents",
    "feedback": "$300 billion bet|the-300-billion-bet-can-openai-afford",
}
"""Where the issue must say what: the id of a block or item (or a block's kind), and its facts."""

QUOTATIONS = (
    "We believe in hybrid teams, and I think that's the way that things are going to grow. Hybrid teams are both "
    "humans, supercharged with AIs, and agents that need to work together with humans and other agents.",
    "OpenAI is going to eat Microsoft alive",
)
"""Words of others, which are facts themselves and must stay as they were said."""

RUN = 8
PAIRS = [(place, fact) for place, facts in FACTS.items() for fact in facts.split("|")]


def spoken(node: Node) -> Iterator[str]:
    """Every text of a node that a reader sees or hears, and where its links go."""
    if node.kind in ("paragraph", "heading", "cell"):
        yield node.plain
    if node.kind == "image":
        yield node.text
    yield from (node.attrs[key] for key in ("short", "title", "by", "href") if node.attrs.get(key))
    for child in node.children:
        yield from spoken(child)


def places(issue: Issue) -> dict[str, str]:
    """The text of each block (by kind and by id), and of each item of the round-up (by id)."""
    found: dict[str, str] = {}
    for block in issue.body:
        words = " ".join(spoken(block))
        found |= {block.text: words, block.attrs.get("id", block.text): words}
        name = ""
        for child in block.children:
            if child.kind == "heading" and child.attrs["level"] == "3":
                name = child.attrs.get("id", "")
            if name:
                found[name] = f"{found.get(name, '')} {' '.join(spoken(child))}"
    return found


def words_of(text: str) -> list[str]:
    """The words as the shingles were made of them: no addresses, lower case, straight apostrophes."""
    text = re.sub(r"https?://\S+", " ", text).replace("’", "'").lower()
    return re.findall(r"[^\W_]+(?:['.,][^\W_]+)*", text)


def copied(text: str) -> list[str]:
    """The runs of eight words that the seed has too."""
    lines = (Path(__file__).parent / "seed_shingles.txt").read_text().splitlines()
    seed = {digest for line in lines if not line.startswith("#") for digest in line.split()}
    words = words_of(text)
    runs = [" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1)]
    return [run for run in runs if hashlib.sha256(run.encode()).hexdigest()[:8] in seed]


@pytest.fixture(scope="module")
def issue() -> Issue:
    return read_issue(FILE, root=ROOT, slug="2025-09-12-coopetition")


@pytest.fixture(scope="module")
def plain_text() -> str:
    """The compiled text part, its lines joined."""
    return " ".join(compile_issue(Newsletter.open(ROOT), FILE).text.source.split())


def test_the_issue_has_no_problems(issue: Issue) -> None:
    """The sample parses without a single complaint, and is ready to go to everyone."""
    assert issue.problems == ()
    assert (issue.front.status, issue.front.audience) == ("ready", "all")


@pytest.mark.parametrize(("place", "fact"), PAIRS)
def test_every_fact_is_in_its_section(issue: Issue, place: str, fact: str) -> None:
    """Each name, figure, date and price of the edition stands in the section it belongs to."""
    assert fact.lower() in places(issue)[place].lower()


def test_every_fact_is_in_the_plain_text(plain_text: str) -> None:
    """Whoever reads the text part alone misses no fact."""
    text = plain_text.replace("’", "'").lower()
    missing = [fact for _, fact in PAIRS if fact.replace("’", "'").lower() not in text]
    assert missing == []


@pytest.mark.parametrize("quotation", QUOTATIONS)
def test_quotations_are_exact(issue: Issue, quotation: str) -> None:
    """What people said is quoted word for word."""
    assert any(quotation in text.replace("’", "'") for block in issue.body for text in spoken(block))


def test_no_sentence_is_copied(issue: Issue) -> None:
    """But for the quotations, no eight words in a row are those of the edition retold."""
    texts = [issue.front.subject, *issue.front.subject_for.values(), issue.front.preheader]
    texts += [" ".join(spoken(block)) for block in issue.body]
    for text in texts:
        parts = re.split("|".join(map(re.escape, QUOTATIONS)), text.replace("’", "'"))
        assert [run for part in parts for run in copied(part)] == []


def test_a_copied_sentence_would_be_found() -> None:
    """The comparison finds a run that is the same: the week's quotation, were it not excepted."""
    assert len(copied(QUOTATIONS[0])) == len(words_of(QUOTATIONS[0])) - RUN + 1


def test_the_length_is_that_of_a_good_read(issue: Issue) -> None:
    """An issue stays near the edition's length: nobody wants a book on a Friday."""
    words = sum(len(n.plain.split()) for b in issue.body for n in b.walk() if n.kind in ("paragraph", "heading"))
    assert 1400 <= words <= 1900  # for all variants together; one reader gets about 100 fewer


def test_pictures_are_sharp_light_and_described(issue: Issue) -> None:
    """Each picture has twice its width on the page, under 150 KB, and a description that replaces it."""
    images = [n for block in issue.body for n in block.walk() if n.kind == "image"]
    assert [n.attrs["src"] for n in images] == ["hero.png", "windsurf.png", "milestones.png"]
    for node in images:
        file = FILE.parent / node.attrs["src"]
        with Image.open(file) as picture:
            assert 1072 <= picture.width <= 1200
        assert file.stat().st_size < 150_000
        assert len(node.text) > 60


def test_the_timeline_can_be_heard(issue: Issue) -> None:
    """The infographic's description names every milestone drawn in it."""
    drawing = (FILE.parent / "pictures" / "milestones.svg").read_text(encoding="utf-8")
    alt = next(n.text for b in issue.body for n in b.walk() if n.attrs.get("src") == "milestones.png")
    years = re.findall(r">[^<]*?(20\d\d)</text>", drawing)
    assert len(years) == 8
    assert [year for year in years if year not in alt] == []
    for words in ("nonprofit", "$1B", "Azure", "GPT-3", "Copilot", "Altman", "$13–14B", "near-half", "non-binding"):
        assert words in alt
