"""The pictures of issues: files of one folder, and what is missing there made from its source and kept.

A send puts them there (`digest.delivery.publishing`). One that is missing is made when it is first asked for, as
long as its source is what the issue was composed with; once in the folder it stays, whatever becomes of the source.
"""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path

from digest.errors import DigestError
from digest.newsletter import Newsletter
from digest.web.issues import Issues

log = logging.getLogger(__name__)

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
            return file if file.is_file() else self._made(name)

    def _made(self, name: str) -> Path | None:
        picture = self._issues.picture(name)
        if picture is None:
            return None
        # What reads pictures is large: loaded when one is missing.
        from digest.compose.pictures import picture_bytes
        from digest.delivery.publishing import keep_picture

        try:
            data, _ = picture_bytes(self._newsletter, picture)
            return keep_picture(self._folder, name, data)
        except DigestError:
            return None
        except OSError as exc:
            log.warning("a picture can't be kept in %s: %s", self._folder, exc.strerror)
            return None
