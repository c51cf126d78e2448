"""Numbers that people read out and type: Crockford's base 32 with a check character.

The check is Damm's over GF(32): it finds every wrong character and every two neighbours in the wrong order (Damm,
"Total anti-symmetrische Quasigruppen", 2004; x ⊙ y = 2(x + y) is one in a field of characteristic 2).
"""

import hmac

from context_store.text import hash_key

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None, "\u2010": None, "\u2011": None})
ID_DIGITS, PROOF_DIGITS = 13, 6
RECEIPT_DIGITS = ID_DIGITS + PROOF_DIGITS
REFERENCE_DIGITS = 7


def receipt_of(envelope_id: int, key_hash: bytes) -> str:
    """`R-07KQ4-…`: the id itself, so that it can be given before anything else is known, and a proof.

    Ids can be counted up to; the proof is 30 bits of the delivery key's hash, which only its sender knows.
    """
    proof = int.from_bytes(hash_key("receipt", key_hash.hex())[:8], "big") >> (64 - 5 * PROOF_DIGITS)
    text = _checked(envelope_id << 5 * PROOF_DIGITS | proof, RECEIPT_DIGITS)
    return "-".join(("R", *(text[at : at + 5] for at in range(0, len(text), 5))))


def envelope_of(receipt: str) -> int | None:
    """The id in a receipt number, however it was typed; None if it is none. For agents: the proof is not looked at."""
    digits = _read(receipt, "R", RECEIPT_DIGITS)
    if digits is None:
        return None
    number = 0
    for character in digits[:ID_DIGITS]:
        number = number << 5 | _VALUES[character]
    return number if number < 1 << 63 else None


def proves(receipt: str, envelope_id: int, key_hash: bytes) -> bool:
    """Was this receipt number given for that envelope?"""
    given = _read(receipt, "R", RECEIPT_DIGITS) or ""
    real = _read(receipt_of(envelope_id, key_hash), "R", RECEIPT_DIGITS) or ""
    return hmac.compare_digest(given, real)


def reference_of(number: int) -> str:
    """`TL-4F7K2QRM`: 35 bits of the id's hash, so that it tells nobody how many queries there are.

    Two ids may share one (at a million queries three new ones in 100,000 meet an old one): the column is unique, the
    record transaction fails, and the next try comes with a new id.
    """
    bits = int.from_bytes(hash_key("reference", str(number))[:8], "big") >> (64 - 5 * REFERENCE_DIGITS)
    return f"TL-{_checked(bits, REFERENCE_DIGITS)}"


def canonical_reference(text: str) -> str | None:
    """The reference as it is stored, from what a person typed (case, O for 0, I or L for 1, spaces, no `TL`)."""
    digits = _read(text, "TL", REFERENCE_DIGITS)
    return digits and f"TL-{digits}"


def _checked(number: int, digits: int) -> str:
    text = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(digits)))
    return text + ALPHABET[_damm(text)]


def _read(text: str, prefix: str, digits: int) -> str | None:
    if len(text) > 64:
        return None
    plain = text.upper().translate(_FORGIVEN)
    if len(plain) > digits + 1:
        plain = plain.removeprefix(prefix.translate(_FORGIVEN))
    if len(plain) != digits + 1 or not all(character in _VALUES for character in plain) or _damm(plain):
        return None
    return plain


def _damm(text: str) -> int:
    state = 0
    for character in text:
        state = (state ^ _VALUES[character]) << 1
        if state & 32:
            state ^= 0b100101  # x^5 + x^2 + 1
    return state
