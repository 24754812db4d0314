import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reprocnn.errors import UserError
from reprocnn.ledger import git

Git = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in a repository with two commits, on main, which is the working directory."""
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path / "source")

    def run(*command: str) -> str:
        user = ("-c", "user.email=test@example.org", "-c", "user.name=test")
        return subprocess.run(["git", *user, *command], check=True, capture_output=True, text=True).stdout.strip()

    run("init", "-q", "-b", "main")
    for text in ("first", "second"):
        Path("file").write_text(text)
        run("add", "-A")
        run("commit", "-q", "-m", text)
    return run


def test_on_a_branch_no_branch_was_left(run: Git) -> None:
    assert git.abandoned_branch() == ""


def _detach(run: Git) -> None:
    """As DVC does: at the commit of the branch, by its hash."""
    run("checkout", "-q", run("rev-parse", "HEAD"))


def test_a_head_that_was_detached_at_its_commit_left_its_branch(run: Git) -> None:
    _detach(run)
    assert git.abandoned_branch() == "main"
    assert git.recovery_command("main") == "git switch main"
    run("commit", "-q", "--allow-empty", "-m", "on no branch")
    assert git.abandoned_branch() == "main"
    assert git.recovery_command("main") == f"git switch main && git merge {run('rev-parse', 'HEAD')[:10]}"


def test_a_head_that_the_dvc_of_now_detached_is_no_fault(run: Git) -> None:
    _detach(run)
    assert git.abandoned_branch(since=1.0) == ""


@pytest.mark.parametrize("place", ["HEAD~1", "v1", "--detach"])
def test_a_head_that_a_person_moved_is_no_fault(run: Git, place: str) -> None:
    run("tag", "v1")
    run("checkout", "-q", place)
    assert git.abandoned_branch() == ""


def test_a_branch_that_is_gone_is_not_named(run: Git) -> None:
    _detach(run)
    run("branch", "-q", "-D", "main")
    assert git.abandoned_branch() == ""


def test_what_git_and_dvc_track(run: Git, tmp_path: Path) -> None:
    for name in ("pets/cat/1.png", "others/1.png", "raw.dvc", "more/zoo.dvc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    run("add", "pets", "raw.dvc", "more/zoo.dvc")
    for name in ("pets", "./pets", "pets/cat", "raw", "raw/inner", "more", "more/zoo", str(Path("pets").resolve())):
        assert git.is_tracked(name), name
    for name in ("others", "absent", str(tmp_path), "..", "pets.zip"):
        assert not git.is_tracked(name), name


def test_a_clone_has_a_commit_that_only_a_ref_of_dvcs_names(run: Git, tmp_path: Path) -> None:
    tree = run("rev-parse", "HEAD~1^{tree}")
    commit = run("commit-tree", tree, "-p", "HEAD", "-m", "experiment")
    run("update-ref", "refs/exps/ab/cd/name", commit)
    assert (git.clone(commit, tmp_path / "clone") / "file").read_text() == "first"
    with pytest.raises(UserError, match="is not empty"):
        git.clone(commit, tmp_path / "clone")
    with pytest.raises(UserError, match="failed: "):
        git.clone("0" * 40, tmp_path / "other")


@pytest.mark.parametrize("option", ["--depth=1", "--filter=blob:none"])
def test_a_clone_of_a_clone_that_lacks_something(
    run: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    run("config", "uploadpack.allowFilter", "true")
    old = run("rev-parse", "HEAD~1")
    run("clone", "-q", "--no-checkout", option, f"file://{Path.cwd()}", str(tmp_path / "lacking"))
    monkeypatch.chdir(tmp_path / "lacking")
    commit = run("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "experiment") if "depth" in option else old
    assert (git.clone(commit, tmp_path / "clone") / "file").read_text() == ("second" if "depth" in option else "first")


def test_the_project_in_a_clone_of_a_bigger_repository(
    run: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("apps").mkdir()
    Path("apps/params.yaml").write_text("inner")
    run("add", "-A")
    run("commit", "-q", "-m", "apps")
    monkeypatch.chdir("apps")
    head = run("rev-parse", "HEAD")
    assert git.show(head, Path("params.yaml")) == "inner"
    assert (git.clone(head, tmp_path / "clone") / "params.yaml").read_text() == "inner"


def test_a_change_of_the_same_size_and_second_is_seen(here: Path) -> None:
    def run(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, cwd=here)

    run("init", "-q")
    (here / "dvc.lock").write_text("generated")
    run("add", "-A")
    run("commit", "-qm", "start")
    before = (here / "params.yaml").stat()
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("epochs: 10", "epochs: 11"))
    os.utime(here / "params.yaml", ns=(before.st_atime_ns, before.st_mtime_ns))
    (here / "dvc.lock").write_text("generated again")
    (here / "new.py").write_text("")
    changes = git.uncommitted()
    assert "+epochs: 11" in changes.diff
    assert changes.new_files == ("new.py",)
    assert "generated" not in changes.diff
