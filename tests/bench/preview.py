"""From saving a file to the new picture in the browser, for the sample issue, beside composing it alone.

    python tests/bench/preview.py [SAVES]

Needs Chromium. Prints the median and the slowest of SAVES (20) saves, the limit of 200 ms, and the shares: until the
page hears of it, until it has composed and has its answer, until the picture is there.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from playwright.sync_api import sync_playwright

from digest.compose.composer import compose_issue
from digest.preview.app import create_app
from digest.preview.demo import SAMPLE, copy_sample
from digest.preview.live import Live
from digest.preview.server import LocalServer, listen, port_of
from digest.preview.workbench import Workbench

LIMIT = 200  # milliseconds
ARGUMENTS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
NOTE = """() => {
  window.shownAt = {};
  const ask = window.fetch;
  window.fetch = async (...about) => {
    window.heard = Date.now();
    const answer = await ask(...about);
    if (String(about[0]).includes("?")) window.steps = [window.heard, Date.now()];
    return answer;
  };
  document.addEventListener("shown", () => requestAnimationFrame(() => {
    const text = document.querySelector("iframe.email:not(.coming)").contentDocument.body.textContent;
    const found = text.match(/Save-(\\d+)-/);
    if (found) window.shownAt[found[1]] ??= Date.now();
  }));
}"""


def main(saves: int) -> None:
    """Save, wait for the picture, and print how long it took."""
    with tempfile.TemporaryDirectory() as folder, closing(listen(0, 0)) as web, sync_playwright() as playwright:
        newsletter = copy_sample(Path(folder).resolve(), {})
        file = newsletter.find_issue(SAMPLE)
        text = file.read_text()
        composing = []
        for number in range(6):
            file.write_text(_saved(text, f"Trial-{number}"))
            begun = time.perf_counter()
            compose_issue(newsletter, file)
            composing.append(1000 * (time.perf_counter() - begun))
        live = Live()
        app = create_app(Workbench(newsletter), live, port=port_of(web))
        with LocalServer(app, web, live):
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"http://127.0.0.1:{port_of(web)}/issues/{SAMPLE}")
            page.locator("#live[data-state=on]").wait_for()
            page.evaluate(NOTE)
            time.sleep(2)
            taken, shares = [], []
            for number in range(saves):
                begun = 1000 * time.time()
                file.write_text(_saved(text, f"Save-{number}-"))
                while not (shown := page.evaluate(f"window.shownAt[{number}] || 0")):
                    time.sleep(0.01)
                taken.append(shown - begun)
                shares.append([moment - begun for moment in page.evaluate("window.steps")])
                time.sleep(1)  # a person's pause: the checks of the last save are done
            browser.close()
    median = statistics.median(taken)
    print(
        f"save to picture: median {median:.0f} ms, slowest {max(taken):.0f} ms; limit {LIMIT} ms: {median / LIMIT:.2f}"
    )
    heard, answered = (statistics.median(share) / median for share in zip(*shares, strict=True))
    print(f"heard of: {heard:.2f} of it; answered: {answered - heard:.2f}; drawn: {1 - answered:.2f}")
    print(f"composing alone: {min(composing):.0f} ms, {min(composing) / median:.2f} of it")


def _saved(text: str, word: str) -> str:
    return text.replace("\n---\n\n", f"\n---\n\n{word} is here.\n\n", 1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
