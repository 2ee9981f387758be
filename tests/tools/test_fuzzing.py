"""tools/fuzzing/runner.py: what a run prints and how it ends; the corpora.

That bugs are found is shown for each fuzzer, in its own tests.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.fuzz_frames import TARGET
from tools.fuzzing import runner
from tools.fuzzing.corpus import CORPORA, MOST_BYTES, MOST_FILES, committed, file_name, fill, replace
from tools.fuzzing.process import FuzzerError, claimed
from tools.variant import PROJECT, variant

from .planting import needs_atheris, python

NAMES = sorted(path.name for path in CORPORA.iterdir())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, compiled for fuzzing."""
    folder = tmp_path_factory.mktemp("fuzzing") / "tree"
    variant("fuzz", folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_is_small_and_its_files_are_as_they_were_written(name: str) -> None:
    files = committed(name)
    assert 0 < len(files) <= MOST_FILES
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert [file.name for file in files] == [file_name(file.read_bytes()) for file in files]


def test_a_corpus_keeps_the_smallest(tmp_path: Path) -> None:
    fill(tmp_path, [b"old"])
    assert replace(tmp_path, [b"b", b"a", b"", b"b"]) == (3, 2)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"", b"a", b"b"]
    large = [bytes([number]) * (MOST_BYTES // 4) for number in range(5)]
    assert replace(tmp_path, [*large, b"a"]) == (4, 3 * (MOST_BYTES // 4) + 1)
    assert replace(tmp_path, [str(number).encode() for number in range(2 * MOST_FILES)])[0] == MOST_FILES


def test_one_input_can_be_run_alone(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_bytes(b"\0\0\x81\x02hi")
    done = python("-m", "tools.fuzz_frames", good)
    assert (done.returncode, done.stdout) == (0, f"passes: {good}\n")


def test_an_input_that_fails_is_shown_with_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def one_input(data: bytes) -> None:
        assert data != b"bad", "something is wrong"

    fill(tmp_path, [b"bad", b"good"])
    files = [str(tmp_path / file_name(data)) for data in (b"bad", b"good")]
    assert runner.main(runner.Target("frames", one_input, list), files) == 1
    told = capsys.readouterr()
    assert told.out == f"FAILED: {files[0]}\npasses: {files[1]}\n"
    assert "AssertionError: something is wrong" in told.err


def test_without_atheris_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "find_spec", {}.get)
    assert runner.main(TARGET, ["--runs", "1"]) == runner.SKIPPED == 77
    assert "pip install 'jetsocket[fuzz]'" in capsys.readouterr().err


def test_nothing_is_kept_of_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed", exc_type=ImportError)
    assert runner.main(TARGET, ["--minimise", "--tree", str(tmp_path)]) == 2
    assert "nothing to keep" in capsys.readouterr().err


def test_two_runs_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(FuzzerError, match="another run works in"), claimed(tmp_path):
        pass
    with claimed(tmp_path):
        pass


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_clean_run_tells_what_was_done_and_the_compiled_modules_count_as_covered(tree: Path) -> None:
    done = python("-m", "tools.fuzz_frames", "--tree", tree, "--runs", "2000", "--seed", "3")
    assert done.returncode == 0, done.stdout
    told, result = done.stdout.splitlines()[-2:]
    assert result == "frames: clean"
    assert told.startswith("frames: 2,000 executions (")
    # The pure decoder alone, the only module that is instrumented as Python, has fewer than 300.
    assert int(told.split("), ")[1].split(" blocks covered")[0].replace(",", "")) > 700


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ctrl_c_ends_it(tree: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.fuzz_frames", "--tree", str(tree)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        first, second = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.wait() == runner.INTERRUPTED, rest
    assert first.startswith("frames: seed ")
    assert "executions" in second
    assert rest.endswith("frames: interrupted; nothing failed until then\n")


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_a_run_found_is_kept_as_few_inputs(tree: Path, tmp_path: Path) -> None:
    # In a copy of the project of its own, which may be as it is: the pure twins will do for the parent process.
    project = tmp_path / "project"
    for name in ("jetsocket", "tools", "tests"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("*.so", "corpora", "__pycache__"))
    work = tree / "build" / "fuzz" / "frames"
    shutil.rmtree(work, ignore_errors=True)
    run = python("-m", "tools.fuzz_frames", "--tree", tree, "--runs", "3000", "--seed", "4", cwd=project)
    assert run.returncode == 0, run.stdout
    done = python("-m", "tools.fuzz_frames", "--tree", tree, "--minimise", cwd=project)
    assert done.returncode == 0, done.stdout
    kept = list((project / "tests" / "corpora" / "frames").iterdir())
    assert 20 < len(kept) < len(list((work / "corpus").iterdir()))
    assert done.stdout.splitlines()[-1].startswith(f"frames: {len(kept)} inputs of ")
