from __future__ import annotations

import re

from neonctl.vault.password import generate_password


def test_a_password_has_32_letters_and_digits_of_every_class() -> None:
    drawn = [generate_password().reveal() for _ in range(300)]
    for password in drawn:
        assert re.fullmatch(r"[A-Za-z0-9]{32}", password)
        assert re.search("[a-z]", password)
        assert re.search("[A-Z]", password)
        assert re.search("[0-9]", password)
    assert len(set(drawn)) == len(drawn)


def test_every_position_can_hold_every_class() -> None:
    drawn = [generate_password().reveal() for _ in range(600)]
    for position in range(32):
        column = "".join(password[position] for password in drawn)
        assert re.search("[a-z]", column)
        assert re.search("[A-Z]", column)
        assert re.search("[0-9]", column)
