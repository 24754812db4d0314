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
    """Provide a function that runs git in the working directory, a repository with two commits on main."""
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


def test_no_branch_is_abandoned_while_head_is_on_one(run: Git) -> None:
    assert git.abandoned_branch() == ""


def _detach(run: Git) -> None:
    """Detach HEAD as DVC does: at the commit of the branch, by its hash."""
    run("checkout", "-q", run("rev-parse", "HEAD"))


def test_a_head_detached_by_dvc_names_its_branch(run: Git) -> None:
    _detach(run)
    assert git.abandoned_branch() == "main"
    assert git.recovery_command("main") == "git switch main"
    run("commit", "-q", "--allow-empty", "-m", "on no branch")
    assert git.abandoned_branch() == "main"
    assert git.recovery_command("main") == f"git switch main && git merge {run('rev-parse', 'HEAD')[:10]}"


def test_a_head_detached_by_the_running_dvc_is_ignored(run: Git) -> None:
    _detach(run)
    assert git.abandoned_branch(since=1.0) == ""


@pytest.mark.parametrize("place", ["HEAD~1", "v1", "--detach"])
def test_a_head_moved_by_the_user_is_ignored(run: Git, place: str) -> None:
    run("tag", "v1")
    run("checkout", "-q", place)
    assert git.abandoned_branch() == ""


def test_a_deleted_branch_is_not_named(run: Git) -> None:
    _detach(run)
    run("branch", "-q", "-D", "main")
    assert git.abandoned_branch() == ""


def test_paths_that_git_or_dvc_track(run: Git, tmp_path: Path) -> None:
    for name in ("pets/cat/1.png", "others/1.png", "raw.dvc", "more/zoo.dvc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    run("add", "pets", "raw.dvc", "more/zoo.dvc")
    for name in ("pets", "./pets", "pets/cat", "raw", "raw/inner", "more", "more/zoo", str(Path("pets").resolve())):
        assert git.is_tracked(name), name
    for name in ("others", "absent", str(tmp_path), "..", "pets.zip"):
        assert not git.is_tracked(name), name


def test_a_clone_has_the_commit_of_an_experiment(run: Git, tmp_path: Path) -> None:
    tree = run("rev-parse", "HEAD~1^{tree}")
    commit = run("commit-tree", tree, "-p", "HEAD", "-m", "experiment")
    run("update-ref", "refs/exps/ab/cd/name", commit)
    assert (git.clone(commit, tmp_path / "clone") / "file").read_text() == "first"
    with pytest.raises(UserError, match="is not empty"):
        git.clone(commit, tmp_path / "clone")
    with pytest.raises(UserError, match="failed: "):
        git.clone("0" * 40, tmp_path / "other")


@pytest.mark.parametrize("option", ["--depth=1", "--filter=blob:none"])
def test_a_clone_of_a_shallow_or_partial_clone(
    run: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    run("config", "uploadpack.allowFilter", "true")
    old = run("rev-parse", "HEAD~1")
    run("clone", "-q", "--no-checkout", option, f"file://{Path.cwd()}", str(tmp_path / "lacking"))
    monkeypatch.chdir(tmp_path / "lacking")
    commit = run("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "experiment") if "depth" in option else old
    assert (git.clone(commit, tmp_path / "clone") / "file").read_text() == ("second" if "depth" in option else "first")


def test_a_clone_of_a_project_in_a_subfolder(run: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("apps").mkdir()
    Path("apps/params.yaml").write_text("inner")
    run("add", "-A")
    run("commit", "-q", "-m", "apps")
    monkeypatch.chdir("apps")
    head = run("rev-parse", "HEAD")
    assert git.show(head, Path("params.yaml")) == "inner"
    assert (git.clone(head, tmp_path / "clone") / "params.yaml").read_text() == "inner"


def test_a_change_with_the_same_size_and_mtime_is_found(here: Path) -> None:
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
