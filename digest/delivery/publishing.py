"""Before a real run: the pictures are put where readers will look for them, or it is seen that they are there.

A message can't be taken back. With ``assets.publish`` a command takes the pictures to their place. Without one they
are put where ``digest serve`` shows them from, if that is where they are to be; then each is asked for once, as a mail
client would (HEAD), and the run is held when one can't be seen.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from digest.compose.compiled import CompiledIssue, picture_address
from digest.compose.pictures import picture_files
from digest.errors import HeldError
from digest.files import replace_file
from digest.newsletter import Newsletter
from digest.sections import is_loopback

FOLDER = "{folder}"
"""In ``assets.publish``: where the folder with the pictures is named; without it, the folder is the last argument."""

PATIENCE = 10.0  # seconds for the answer to one request
COMMAND_PATIENCE = 600.0  # seconds for the command
TOGETHER = 8  # requests at a time
TOLD = 2_000  # characters of the command's output, the last ones

_MODIFIED = 1_000_000_000  # of every file: what has the same name has the same content, and need not be copied again
_SEEN: set[str] = set()


def publish_pictures(newsletter: Newsletter, compiled: CompiledIssue, *, patience: float = PATIENCE) -> None:
    """Publish the pictures of a hosted issue, or confirm that each can be seen; `patience` is in seconds.

    Nothing is asked for an issue that carries its pictures, for a relay on loopback (nobody else is written to),
    or a second time in one process. Raises `HeldError` with every picture that can't be seen, or what the command
    said, or that the folder can't be written to; `InputError` when a picture to be published is not what the issue
    was composed with.
    """
    if compiled.attaches or not compiled.pictures:
        return
    settings = newsletter.settings
    if settings.assets.publish:
        run_publish(newsletter, settings.assets.publish, picture_files(newsletter, compiled))
        return
    if compiled.assets_base == f"{settings.newsletter.base_url}/assets":
        _put(newsletter, compiled)
    if not is_loopback(settings.smtp.host):
        _confirm(compiled, patience)


# ---- our own pages


def _put(newsletter: Newsletter, compiled: CompiledIssue) -> None:
    folder = newsletter.root / newsletter.settings.web.pictures
    if all((folder / picture.name).is_file() for picture in compiled.pictures):
        return
    try:
        for name, (data, _) in picture_files(newsletter, compiled).items():
            keep_picture(folder, name, data)
    except OSError as exc:
        raise HeldError(f"held, nothing was sent: {folder} (web.pictures) can't be written to: {exc.strerror}") from exc


def keep_picture(folder: Path, name: str, data: bytes) -> Path:
    """The file of a picture in the folder that the public pages show, whole at every moment. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / name, data)
    return folder / name


# ---- the command


def run_publish(
    newsletter: Newsletter,
    command: Sequence[str],
    files: Mapping[str, tuple[bytes, str]],
    *,
    patience: float = COMMAND_PATIENCE,
) -> None:
    """Run ``assets.publish`` on a folder of the pictures, in the newsletter's folder, without a shell.

    It sees no ``DIGEST_…`` variable: they hold secrets. Raises `HeldError` with the end of its output.
    """
    with tempfile.TemporaryDirectory(prefix="digest-pictures-") as temporary:
        folder = Path(temporary) / "assets"
        _write(folder, files)
        arguments = [part.replace(FOLDER, str(folder)) for part in command]
        if arguments == list(command):
            arguments.append(str(folder))
        log = Path(temporary) / "output"
        with log.open("wb") as output:  # no pipe: what the command leaves behind may hold it open
            told = _run(arguments, newsletter.root, output, patience)
        if told:
            said = _lines(newsletter.settings.without_secrets(_end(log)))
            what = newsletter.settings.without_secrets(shlex.join(command))
            raise HeldError(
                "held, nothing was sent: the pictures could not be published\n"
                f"  {what} (assets.publish) {told}" + (", and said:\n" if said else "") + said
            )


def _write(folder: Path, files: Mapping[str, tuple[bytes, str]]) -> None:
    folder.mkdir()
    folder.chmod(0o755)  # a copy that keeps modes is to be read by a web server
    for name, (data, _) in files.items():
        file = folder / name
        file.write_bytes(data)
        file.chmod(0o644)
        os.utime(file, (_MODIFIED, _MODIFIED))


def _run(arguments: Sequence[str], cwd: Path, output: IO[bytes], patience: float) -> str:
    """What went wrong, to follow the command's name; nothing when it ended well."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("DIGEST_")}
    try:
        # A group of its own, to be ended whole.
        process = subprocess.Popen(  # noqa: S603 - the command is the newsletter's own setting
            arguments,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        return f"can't be run: {getattr(exc, 'strerror', None) or exc}"
    try:
        code = process.wait(patience)
    except subprocess.TimeoutExpired:
        return f"was still running after {patience:.0f} seconds, and was stopped"
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"left with {code}" if code else ""


def _end(log: Path) -> str:
    """The end of a file, longer than what is told of it: what is cut through here is not told."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8 * TOLD))
        return file.read().decode(errors="replace")


def _lines(output: str) -> str:
    """The end of what a command said, indented, without control characters."""
    text = re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", output[-TOLD:])
    return "\n".join(f"    {line.rstrip()}" for line in text.split("\n") if line.strip())


# ---- asking


def _confirm(compiled: CompiledIssue, patience: float) -> None:
    files = {picture_address(compiled.assets_base, p.name): p.file for p in compiled.pictures}
    asked = [url for url in files if url not in _SEEN]
    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = dict(zip(asked, pool.map(lambda url: why_unseen(url, patience), asked), strict=True))
    _SEEN.update(url for url, why in answers.items() if not why)
    unseen = [f"  {files[url]}: {url} {why}" for url, why in answers.items() if why]
    if unseen:
        raise HeldError(
            "held, nothing was sent: readers would not see these pictures\n"
            + "\n".join(unseen)
            + f"\n  put them there (digest build {compiled.slug} --out DIR writes them into DIR/assets), or let"
            + ' assets.publish do it, or attach them with assets.mode = "cid"'
        )


def why_unseen(url: str, patience: float = PATIENCE) -> str:
    """Why a picture can't be seen, to follow its address; nothing when it can. Asks once, `patience` seconds.

    A server that knows no HEAD (405, 501) is asked for the first byte (RFC 9110 section 14.2).
    """
    if not _safe(url):
        return "is no https:// address"
    try:
        try:
            kind = _asked("HEAD", url, patience)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code not in (405, 501):
                raise
            kind = _asked("GET", url, patience)
    except urllib.error.HTTPError as exc:
        exc.close()
        return f"is answered with {exc.code} {exc.reason}"
    except TimeoutError:
        return f"did not answer within {patience:g} seconds"
    except (OSError, HTTPException, ValueError) as exc:  # URLError is an OSError
        reason = getattr(exc, "reason", exc)
        late = isinstance(reason, TimeoutError)
        return f"did not answer within {patience:g} seconds" if late else f"can't be reached: {reason}"
    return "" if kind.startswith("image/") else f"is {kind or 'of no type'}, not a picture"


def _asked(method: str, url: str, patience: float) -> str:
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "digest", "Accept": "image/*"})  # noqa: S310 - checked above
    if method == "GET":
        request.add_header("Range", "bytes=0-0")
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if is_loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    with urllib.request.build_opener(*handlers).open(request, timeout=patience) as response:
        headers: HTTPMessage = response.headers
        return headers.get_content_type() if headers.get("Content-Type") else ""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows to where readers' clients would follow: encrypted, or on this machine."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not _safe(newurl):
            raise urllib.error.URLError(f"it leads on to {newurl}, which is not encrypted")
        followed = super().redirect_request(req, fp, code, msg, headers, newurl)
        if followed is not None:
            followed.method = req.get_method()
        return followed


def _safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
