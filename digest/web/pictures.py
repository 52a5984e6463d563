"""The pictures of issues: files of one folder, and what is missing there made from its source and kept.

``assets.publish`` can put them there before a send. One that was not is made when it is first asked for, as long as
its source is what the issue was composed with; once in the folder it stays, whatever becomes of the source.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from pathlib import Path

from digest.compose.compiled import Picture
from digest.errors import DigestError
from digest.newsletter import Newsletter
from digest.web.issues import Issues

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}
"""Suffix → MIME type of what is published."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}\.(?:png|jpg|gif)")


class Pictures:
    """Names → files. For any number of threads."""

    def __init__(self, newsletter: Newsletter, issues: Issues) -> None:
        self._newsletter = newsletter
        self._folder = newsletter.root / newsletter.settings.web.pictures
        self._issues = issues
        self._making = threading.Lock()

    def file(self, name: str) -> Path | None:
        """The file of a picture, made if need be; None when no sent issue has it."""
        if not _NAME.fullmatch(name):
            return None
        file = self._folder / name
        if file.is_file():
            return file
        with self._making:  # one at a time: making one takes the memory of a whole picture
            return file if file.is_file() else self._made(name, file)

    def _made(self, name: str, file: Path) -> Path | None:
        picture = self._issues.picture(name)
        if picture is None:
            return None
        try:
            data = _bytes(self._newsletter, picture)
        except DigestError:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".part")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(partial).chmod(0o644)
        return Path(partial).replace(file)


def _bytes(newsletter: Newsletter, picture: Picture) -> bytes:
    from digest.compose.pictures import picture_bytes  # what reads pictures is large: loaded when one is missing

    return picture_bytes(newsletter, picture)[0]
