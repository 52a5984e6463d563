"""A process of its own that sends: `python sender.py FOLDER ISSUE.json`. For tests that kill it."""

import json
import resource
import sys
from pathlib import Path

from digest.compose.compiled import CompiledIssue
from digest.delivery.deliver import deliver
from digest.errors import DigestError
from digest.newsletter import Newsletter


def main(root: str, issue: str, largest_file: str = "") -> int:
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), int(largest_file)))
    compiled = CompiledIssue.from_json(Path(issue).read_text())
    say = lambda text: print(text, flush=True)  # noqa: E731
    try:
        report = deliver(Newsletter.open(Path(root)), compiled.slug, compiled, say=say)
    except DigestError as exc:
        print(exc, flush=True)
        return exc.exit_code
    print(json.dumps(report.accounts.to_dict()), report.trouble, flush=True)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
