"""The entries that are printed work: Debian's own cron runs the one, systemd's own checker passes the other."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from digest.delivery.scripted import ScriptedRelay
from digest.newsletter import Newsletter
from digest.schedule.entries import crontab_line, systemd_units

REPOSITORY = Path(__file__).parents[2]

# A cron of our own in a mount namespace: it sees this crontab, and nothing of the machine's.
PRIVATE_CRON = """
set -e
mount -t tmpfs tmpfs /var/spool/cron/crontabs
mount -t tmpfs tmpfs /etc/cron.d
mount -t tmpfs tmpfs /run
: > /run/empty
mount --bind /run/empty /etc/crontab
cat > /var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root
exec cron -f
"""


def can_make_namespaces() -> bool:
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True, check=False
    )
    return tried.returncode == 0


def test_debians_cron_sends_it(bench, eventually):
    """The printed line, in a folder with blanks, quotes, percent signs and backslashes: the issue arrives, once."""
    if not shutil.which("cron", path="/usr/sbin:/usr/bin"):
        pytest.skip("Debian's cron is not installed")
    if os.geteuid() or not shutil.which("unshare") or not can_make_namespaces():
        pytest.skip("a cron of one's own takes root and mount namespaces")
    with ScriptedRelay() as relay:
        odd = bench.root.with_name("it's 50% off \\% \\\\ \\n $x")
        bench.root.rename(odd)
        bench.root = odd
        config = odd / "config/digest.toml"
        config.write_text(config.read_text().replace("port = 2\n", f"port = {relay.port}\n"))
        bench.subscribe_many(3)
        wall = datetime.now(ZoneInfo("Europe/London")) + timedelta(seconds=2)
        bench.issue("one", f"{wall:%Y-%m-%d %H:%M:%S}")
        line = subprocess.run(
            [sys.executable, "-m", "digest", "--project", odd, "schedule", "--crontab"],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        ).stdout
        assert line.startswith("* * * * * /")
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE_CRON],
            stdin=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        try:
            assert process.stdin is not None
            process.stdin.write(f'PYTHONPATH={REPOSITORY}\nMAILTO=""\n{line}')
            process.stdin.close()
            with suppress(AssertionError):  # what is asked below says more
                eventually(lambda: len(relay.received) >= 3, within=180)
        finally:
            process.terminate()
            process.wait()
        why = bench.execute("SELECT state, reason FROM occurrences")
        received = Counter(message.recipient for message in relay.received)
        assert received == {f"reader{n:03d}@example.org": 1 for n in range(3)}, why


def test_systemd_takes_the_units(bench, tmp_path):
    """`systemd-analyze verify` has nothing to say, also where the path is an odd one."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    odd = tmp_path / 'a "b" $c 50% d\\e'
    bench.root.rename(odd)
    units = systemd_units([sys.executable, "-m", "digest"], Newsletter.open(odd))
    files = []
    for name, text in units.items():
        files.append(tmp_path / name)
        files[-1].write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False, timeout=60
    )
    said = [line for line in checked.stderr.splitlines() if "digest-test-weekly" in line or "/" not in line]
    assert (checked.returncode, said) == (0, [])
    assert "SuccessExitStatus=75" in units["digest-test-weekly.service"]


def test_a_path_that_breaks_the_line_is_refused(bench):
    """A line break would begin another entry."""
    with pytest.raises(Exception, match="can't be written"):
        crontab_line(["/usr/bin/digest"], Path("/srv/a\n* * * * * rm"))
