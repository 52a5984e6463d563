"""A token of this process in every form: a page of another server can't know it, whatever its Origin says."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

TOKEN = secrets.token_urlsafe(24)
MAX_FORM_BYTES = 64 * 1024


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of one of our own forms. Answers 403 without the token, 413 for a large one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise HTTPException(413, "That is more than a form of ours holds.")
    fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if not secrets.compare_digest(fields.pop("csrf", "").encode(), TOKEN.encode()):
        raise HTTPException(403, "This form is from an earlier start of the preview. Reload the page, and try again.")
    return fields
