from __future__ import annotations

from pathlib import Path

from websockets.asyncio.client import connect

from .conftest import interrupted, run, running


async def test_a_recorded_run_is_served_until_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("1 > asked\n2 < one\n3 < two\n")
    async with running("replay", str(path), "--speed", "0") as child:
        assert child.stdout is not None
        uri = (await child.stdout.readline()).decode().strip()
        async with connect(uri, proxy=None) as client:
            assert [await client.recv() for _ in range(2)] == ["one", "two"]
        done, seconds = await interrupted(child)
    assert (done.code, done.out) == (130, "")
    assert done.err == "jetsocket: client 1 connected, 1 open\n"
    assert seconds < 1


async def test_on_a_port_of_choice(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("1 < one\n")
    async with running("replay", str(path)) as child:
        assert child.stdout is not None
        port = (await child.stdout.readline()).decode().split(":")[2].split("/")[0]
        taken = run("replay", str(path), "--port", port)
    assert taken.code == 1
    assert taken.err.count("\n") == 1
    assert "address already in use" in taken.err


def test_what_is_no_recording_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("1 < one\nnonsense\n")
    done = run("replay", str(path))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"jetsocket: {path}:2: expected '<time in ns> < text'")
