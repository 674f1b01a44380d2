"""Keys and instructions: what the database refuses without doing any cryptography."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any

import pytest

from obr.conftest import SCOPE, Key, Resolution, claims, one, refused

NOW = int(time.time())
TERMS: dict[str, Any] = {"haircut": "0.25", "de_minimis": "0.00", "equal_shares": False}


def test_the_first_two_officers_need_nobody_everyone_else_needs_them(bare: Resolution) -> None:
    refused("OBR_INSTRUCTION_MISSING", lambda: bare.register(bare.rbnz))
    assert bare.register(bare.alice)["authority"] == "BOOTSTRAP"
    refused("OBR_INSTRUCTION_SAME_OFFICER", lambda: bare.register(Key("alice", "officer")))
    assert bare.register(bare.bob)["authority"] == "BOOTSTRAP"
    carol = Key("carol", "officer")
    refused("OBR_INSTRUCTION_MISSING", lambda: bare.register(carol))
    refused("OBR_INSTRUCTION_INVALID", lambda: bare.add_key(carol, bare.alice))
    refused("OBR_INSTRUCTION_SAME_OFFICER", lambda: bare.add_key(carol, bare.alice, bare.alice))
    refused("OBR_INSTRUCTION_KEY_UNKNOWN", lambda: bare.add_key(carol, bare.alice, carol))
    assert bare.add_key(carol)["authority"] == "OFFICERS"
    bare.add_key(bare.rbnz)
    refused("OBR_INSTRUCTION_KEY_WRONG_KIND", lambda: bare.add_key(Key("dave", "officer"), bare.alice, bare.rbnz))
    kept = bare.reader.execute("SELECT registered_key_id, count(*) FROM core.obr_instructions GROUP BY 1").fetchall()
    assert sorted(kept) == sorted([(carol.key_id, 2), (bare.rbnz.key_id, 2)])


def test_a_key_is_registered_once(obr: Resolution) -> None:
    again = obr.register(obr.alice)
    assert (again["replayed"], again["key_id"]) == (True, obr.alice.key_id)
    other = Key("mallory", "officer", obr.alice.x)
    refused("OBR_KEY_EXISTS", lambda: obr.register(other))


def test_the_second_officer_is_one_even_when_two_come_at_once(bare: Resolution) -> None:
    bare.register(bare.alice)
    answers: list[str] = []
    start = threading.Barrier(4)

    def run(key: Key) -> None:
        conn = bare.bank.connect("resolution_officer")
        start.wait()
        try:
            answers.append(bare.register(key, conn=conn)["authority"])
        except Exception as error:
            answers.append(getattr(getattr(error, "diag", None), "constraint_name", None) or str(error))

    threads = [threading.Thread(target=run, args=[Key(f"officer{n}", "officer")]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["BOOTSTRAP", *["OBR_INSTRUCTION_MISSING"] * 3]


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "OKP", "crv": "Ed25519", "x": "short"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "d": "A" * 43},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43},
        # The key of 43 A, in letters that no key is written in: it would be a second id of the same key.
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 42 + "B"},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 42 + "D"},
        {"kty": "RSA", "n": "A", "e": "AQAB"},
        {},
    ],
)
def test_what_is_no_public_key_is_refused(bare: Resolution, jwk: dict[str, str]) -> None:
    text = "SELECT core.obr_register_key('a', 'officer', %s, now(), NULL, NULL, %s, 'r', 'test', NULL)"
    refused("OBR_KEY_INVALID", lambda: bare.officer.execute(text, [json.dumps(jwk), SCOPE]))


def test_the_key_id_is_the_thumbprint(bare: Resolution) -> None:
    # RFC 8037, appendix A.3.
    key = Key("rfc", "officer", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    assert bare.register(key)["key_id"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_revoked_key_orders_nothing_and_two_officers_always_remain(obr: Resolution) -> None:
    refused("OBR_LAST_OFFICERS", lambda: obr.revoke(obr.bob))
    obr.add_key(Key("carol", "officer"))
    assert obr.revoke(obr.bob)["replayed"] is False
    assert obr.revoke(obr.bob)["replayed"] is True
    refused("OBR_INSTRUCTION_KEY_REVOKED", lambda: obr.add_key(Key("dave", "officer")))
    refused("OBR_KEY_EXISTS", lambda: obr.register(obr.bob))
    refused("OBR_KEY_UNKNOWN", lambda: obr.revoke(Key("nobody", "officer")))


def test_an_instruction_allows_exactly_what_it_says(obr: Resolution) -> None:
    obr.customer("100.00")
    wrong: dict[str, tuple[str, dict[str, Any]]] = {
        "action": ("OBR_INSTRUCTION_WRONG_ACTION", {"action": "unwind"}),
        "haircut": ("OBR_INSTRUCTION_MISMATCH", {"haircut": "0.26"}),
        "a haircut that is no number": ("OBR_INSTRUCTION_MISMATCH", {"haircut": "a quarter"}),
        "no haircut": ("OBR_INSTRUCTION_MISMATCH", {"haircut": None}),
        "de_minimis": ("OBR_INSTRUCTION_MISMATCH", {"de_minimis": "1.00"}),
        "shares": ("OBR_INSTRUCTION_MISMATCH", {"equal_shares": True}),
        "scope": ("OBR_INSTRUCTION_MISMATCH", {"scope": "bank/dev"}),
        "reference": ("OBR_INSTRUCTION_MISMATCH", {"reference": "RBNZ-2"}),
        "jurisdiction": ("OBR_JURISDICTION_UNSUPPORTED", {"jurisdiction": "AU"}),
        "expired": ("OBR_INSTRUCTION_EXPIRED", {"exp": NOW - 1}),
        "early": ("OBR_INSTRUCTION_NOT_YET_VALID", {"nbf": NOW + 3600}),
        "no expiry": ("OBR_INSTRUCTION_INVALID", {"exp": None}),
        "expiry as text": ("OBR_INSTRUCTION_INVALID", {"exp": "tomorrow"}),
        "no name": ("OBR_INSTRUCTION_INVALID", {"jti": None}),
    }
    for what, (code, changed) in wrong.items():
        document = obr.rbnz.sign({**claims("activate", **TERMS), **changed})
        error = refused(code, lambda document=document: obr.activate(documents=[document]))
        assert "%" not in str(error), what
    assert obr.state()["resolution_state"] == "pre_positioned"
    obr.activate(documents=[obr.rbnz.sign(claims("activate", **{**TERMS, "haircut": "0.2500"}))])


def test_documents_that_are_none_are_refused(obr: Resolution) -> None:
    good = obr.rbnz.sign(claims("activate", **TERMS))
    head, _, tail = good.split(".")
    text = base64.urlsafe_b64encode(b"[1]").decode().rstrip("=")
    for document in (
        "",
        "x",
        "a.b",
        f"{head}.{tail}",
        f"{head}.!!.{tail}",
        f"{head}.{text}.{tail}",
        f"{text}.{text}.{tail}",
        good + ".",
    ):
        refused("OBR_INSTRUCTION_INVALID", lambda document=document: obr.activate(documents=[document]))
    refused("OBR_INSTRUCTION_MISSING", lambda: obr.activate(documents=[]))
    refused("OBR_INSTRUCTION_INVALID", lambda: obr.activate(documents=[good] * 3))
    for header in ({"alg": "none"}, {"alg": "ES256"}, {"alg": None}):
        document = obr.rbnz.sign(claims("activate", **TERMS), **header)
        refused("OBR_INSTRUCTION_INVALID", lambda document=document: obr.activate(documents=[document]))


def test_only_keys_that_are_trusted_now_count(obr: Resolution) -> None:
    stranger = Key("stranger", "regulator")
    old, coming = Key("old", "regulator"), Key("coming", "regulator")
    obr.add_key(coming, valid_from=NOW + 3600)
    obr.add_key(old, valid_until=int(time.time()) + 2)
    for key, code in (
        (stranger, "OBR_INSTRUCTION_KEY_UNKNOWN"),
        (coming, "OBR_INSTRUCTION_KEY_NOT_YET_VALID"),
        (obr.alice, "OBR_INSTRUCTION_KEY_WRONG_KIND"),
    ):
        document = key.sign(claims("activate", **TERMS))
        refused(code, lambda document=document: obr.activate(documents=[document]))
    obr.officer.execute("SELECT pg_sleep_until(max(valid_until)) FROM core.obr_keys")
    refused("OBR_INSTRUCTION_KEY_EXPIRED", lambda: obr.activate(documents=[old.sign(claims("activate", **TERMS))]))


def test_in_an_emergency_two_officers_sign_the_same(obr: Resolution) -> None:
    said = claims("activate", **TERMS)
    other = {**said, "jti": "another"}
    documents = [obr.alice.sign(said), obr.bob.sign(other)]
    refused("OBR_INSTRUCTION_PAYLOADS_DIFFER", lambda: obr.activate(documents=documents))
    twice = [obr.alice.sign(said)] * 2
    refused("OBR_INSTRUCTION_SAME_OFFICER", lambda: obr.activate(documents=twice))
    mixed = [obr.alice.sign(said), obr.rbnz.sign(said)]
    refused("OBR_INSTRUCTION_KEY_WRONG_KIND", lambda: obr.activate(documents=mixed))
    event = obr.activate(documents=[obr.alice.sign(said), obr.bob.sign(said)])
    assert event["authority"] == "EMERGENCY"
    kept = obr.reader.execute(
        "SELECT document_no, key_id FROM core.obr_instructions WHERE event_id = %s ORDER BY 1", [event["event_id"]]
    ).fetchall()
    assert kept == [(1, obr.alice.key_id), (2, obr.bob.key_id)]
    refused("OBR_INSTRUCTION_REPLAYED", lambda: obr.activate(documents=[obr.rbnz.sign(said)]))


def test_what_was_refused_can_still_be_used(obr: Resolution) -> None:
    said = claims("activate", **TERMS)
    refused("OBR_INSTRUCTION_MISMATCH", lambda: obr.activate("0.3", documents=[obr.rbnz.sign(said)]))
    event = obr.activate(documents=[document := obr.rbnz.sign(said)])
    kept = one(obr.reader, "SELECT document, jti FROM core.obr_instructions WHERE event_id = %s", [event["event_id"]])
    assert kept == {"document": document, "jti": said["jti"]}
