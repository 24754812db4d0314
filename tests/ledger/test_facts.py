import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from reprocnn.ledger.git import uncommitted
from reprocnn.ledger.masking import masked
from reprocnn.params import read_params
from reprocnn.run.identity import content_md5, environment, is_gone, this_process


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("+DB_PASSWORD = 'hunter22'", "hunter22"),
        ('+{"api_key": "abc123"}', "abc123"),
        ("+token: abc123def", "abc123def"),
        ('+PASSWORD = "correct horse battery"', "battery"),
        ("+run --password hunter22", "hunter22"),
        ("+Authorization: Bearer abcdef", "abcdef"),
        ("+https://mytoken99@host/x", "mytoken99"),
        ("+AccountKey=abc==;", "abc=="),
        ("+x = eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "eyJzdWIiOiIxIn0"),
        ("+AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ("+key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("+x = ghp_0123456789abcdefghij0123", "ghp_0123456789abcdefghij0123"),
        ("+https://me:pass1@host/x", "pass1"),
        ("http://me:p@ss1@host/x", "ss1"),
        ("+-----BEGIN RSA PRIVATE KEY-----\n+MIIE\n+-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_secrets_in_the_diff_are_masked(text: str, secret: str) -> None:
    assert secret not in masked(text)
    assert "***" in masked(text)


def test_a_diff_without_secrets_stays() -> None:
    text = "+epochs: 20\n-model: mlp\n+# see https://example.org/a:b@c\n"
    assert masked(text) == text


def test_a_change_of_the_same_size_and_second_is_seen(here: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, cwd=here)

    git("init", "-q")
    (here / "dvc.lock").write_text("generated")
    git("add", "-A")
    git("commit", "-qm", "start")
    before = (here / "params.yaml").stat()
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("epochs: 10", "epochs: 11"))
    os.utime(here / "params.yaml", ns=(before.st_atime_ns, before.st_mtime_ns))
    (here / "dvc.lock").write_text("generated again")
    (here / "new.py").write_text("")
    uncommitted.cache_clear()
    changes = uncommitted()
    uncommitted.cache_clear()
    assert "+epochs: 11" in changes
    assert "new file: new.py" in changes
    assert "generated" not in changes


def test_a_hash_is_what_dvc_records() -> None:
    """Of files and folders: dvc.lock is made by DVC."""
    stages = read_params(ROOT / "dvc.lock")["stages"]
    outs = [out for stage in stages.values() for out in stage["outs"] if out["path"].startswith("reports/")]
    found = {out["path"]: out["md5"] for out in outs if (ROOT / out["path"]).exists()}
    assert "reports/figures" in found
    for name, md5 in found.items():
        assert content_md5(ROOT / name) == md5, name


def test_the_environment_is_the_same_twice_and_names_what_results_depend_on() -> None:
    found = environment([], 3)
    assert found == environment([], 3)
    assert found["threads"] == "3"
    assert int(environment([], 0)["threads"]) >= 1
    assert found["gpu"] == "none"
    assert environment(["A", "B"], 0)["gpu"] == "A, B"
    for name in ("cpu", "instructions", "platform", "version.python", "version.tensorflow", "version.mlflow"):
        assert found[name], name


def test_a_process_is_gone_when_it_has_ended_or_its_number_is_anothers() -> None:
    this = this_process()
    host, number, start = this.split()
    assert not is_gone(this)
    assert is_gone(f"{host} {number} {int(start) - 3600}")
    assert not is_gone(f"elsewhere {number} 1")  # of other hosts nothing is known
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert is_gone(f"{host} {ended.pid} {start}")
