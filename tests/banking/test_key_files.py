"""Files with keys: their modes, that nothing is overwritten, and that nobody else may have read one."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from neonctl.banking import key_files
from neonctl.banking.key_files import kept_key, make_key, public_name, read_public_key, read_signer, write_new
from neonctl.errors import UsageError


def code(call, *arguments) -> str:
    with pytest.raises(UsageError) as refused:
        call(*arguments)
    return refused.value.code


def test_a_key_is_two_files_and_the_private_one_is_its_owners(tmp_path):
    file = tmp_path / "keys" / "anna"
    before = os.umask(0)
    try:
        public = make_key(file, "ed25519", None)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["anna", "anna.pub"]
    assert read_signer(file, None).public.key_id == public.key_id == read_public_key(public_name(file)).key_id


@pytest.mark.parametrize("there", ["anna", "anna.pub"])
def test_nothing_is_overwritten(tmp_path, there):
    (tmp_path / there).write_text("precious")
    assert code(make_key, tmp_path / "anna", "ed25519", None) == "FILE_EXISTS"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {there: "precious"}
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert code(write_new, tmp_path / "link", b"x") == "FILE_EXISTS"


def test_a_private_key_that_others_can_read_is_not_used(tmp_path):
    file = tmp_path / "anna"
    make_key(file, "ed25519", None)
    for mode in (0o640, 0o604, 0o660, 0o610):
        file.chmod(mode)
        assert code(read_signer, file, None) == "KEY_FILE_EXPOSED"
    file.chmod(0o400)
    read_signer(file, None)


def test_files_that_are_not_there_or_cannot_be_written(tmp_path):
    assert code(read_signer, tmp_path / "x", None) == "FILE_UNREADABLE"
    assert code(read_public_key, tmp_path) == "FILE_UNREADABLE"
    (tmp_path / "file").write_text("")
    assert code(make_key, tmp_path / "file" / "anna", "p256", None) == "OUTPUT_UNWRITABLE"


def test_a_write_that_fails_leaves_neither_half(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(key_files.os, "fsync", full)
    assert code(make_key, tmp_path / "anna", "p256", None) == "OUTPUT_UNWRITABLE"
    assert list(tmp_path.iterdir()) == []


def test_the_kept_key_is_made_once_however_many_ask(tmp_path):
    found: list[str] = []
    begin = threading.Barrier(8)

    def ask() -> None:
        begin.wait()
        found.append(kept_key(tmp_path / "status.pem").public.key_id)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
