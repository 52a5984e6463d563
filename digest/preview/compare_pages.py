"""Two emails side by side, and what is different in their words: two readers, or two issues."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from digest.preview.changes import changes
from digest.preview.issue_pages import frame_address, rendering_of
from digest.preview.shell import Shell
from digest.preview.view import PHONE, SCHEMES, Pane, View


class ComparePages:
    """Handlers; each runs in a worker thread."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._workbench = shell.workbench

    def compare(self, request: Request) -> Response:
        """``/compare?a=SLUG&as=READER&b=SLUG&bs=READER``: what is left out is as on the left."""
        query = request.query_params
        view = View.of(query)
        left = self._shell.look_at(query.get("a", ""))
        right = self._shell.look_at(query.get("b", "")) if query.get("b") else left
        sides = []
        for look, key, name in ((left, query.get("as", ""), "left"), (right, query.get("bs", ""), "right")):
            audience = self._workbench.audience(look)
            chosen = audience.find(key)
            rendering, problem = rendering_of(look.twin, chosen)
            pane = Pane(name, "", PHONE, view.scheme)
            frame = frame_address(look, chosen, view, pane, rendering) if rendering else ""
            sides.append(
                (look, chosen, audience.groups(), rendering, frame, [*look.problems, *filter(None, [problem])])
            )
        texts = [side[3].text if side[3] else "" for side in sides]
        subjects = [f"Subject: {side[3].subject}\n\n{side[3].preheader}\n\n" if side[3] else "" for side in sides]
        context = {
            "view": view,
            "sides": sides,
            "schemes": SCHEMES,
            "slugs": [(look.slug, look.title) for look in self._workbench.looks()],
            "changes": changes(subjects[0] + texts[0], subjects[1] + texts[1]),
        }
        return self._shell.page("compare.html", "issues", context)
