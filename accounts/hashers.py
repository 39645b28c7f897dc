"""Password hashing fit for a small Lambda, and the old application's hashes."""

from collections.abc import Iterator
from typing import Any

import bcrypt
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    BCryptPasswordHasher,
    make_password,
    mask_hash,
    verify_password,
)
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

# bcryptjs reads no further, and says nothing.
BCRYPT_LIMIT = 72
# Of the cost that the old application used, and of a password that nobody knows: what it says is ignored.
STAND_IN = "bcrypt_node$$2a$10$K5a.dipzlxDKlgZivVuns.KmDPEEJO/5.GQRrLRJ55lLSMBXJi0d."
# What JavaScript's String.prototype.trim removes: ECMAScript's WhiteSpace and LineTerminator. Python's
# str.strip removes other characters.
JAVASCRIPT_SPACE = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)


class SmallLambdaArgon2PasswordHasher(Argon2PasswordHasher):
    """Argon2id with the second parameter set of OWASP's Password Storage Cheat Sheet.

    Django's own default takes 100 MiB and eight lanes: about 0.6 s on a 512 MB Lambda. A hash with
    other parameters is replaced at the next sign-in.
    """

    memory_cost = 19456
    time_cost = 2
    parallelism = 1


class NodeBcryptPasswordHasher(BCryptPasswordHasher):
    """Verifies what bcryptjs wrote in the old application: `bcrypt_node$` and the hash as it was.

    Never the preferred hasher: whoever signs in gets an Argon2 hash in its place.
    """

    algorithm = "bcrypt_node"

    def encode(self, password: str, salt: str | bytes) -> str:
        """Return the hash of a password with a bcrypt salt, cut where bcryptjs cuts it."""
        raw_salt = salt.encode() if isinstance(salt, str) else salt
        hashed = bcrypt.hashpw(password.encode()[:BCRYPT_LIMIT], raw_salt)
        return f"{self.algorithm}${hashed.decode()}"

    def verify(self, password: str, encoded: str) -> bool:
        """Whether the password fits, as typed or as the old application trimmed it.

        What it costs depends on what was typed, never on whether, or which of the two, fits.
        """
        _algorithm, original = encoded.split("$", 1)
        fitting = [_fits(candidate, original) for candidate in _candidates(password)]
        return any(fitting)

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        """Return what an administrator may see of a hash."""
        _algorithm, _empty, variant, cost, data = encoded.split("$", 4)
        return {
            _("algorithm"): f"{self.algorithm} {variant}",
            _("work factor"): cost,
            _("checksum"): mask_hash(data),
        }


@sensitive_variables("password", "new")
def verify_at_one_price(password: str, encoded: str | None) -> tuple[bool, str | None]:
    """Return whether a password fits a hash, and the hash to replace it by if that is of an old kind.

    Each call checks bcrypt once, at the old application's cost, and computes Argon2 once, whatever the hash
    is, and without one, too: how long a sign-in takes tells nobody whether there is such an account, whether
    it may be used, or where it came from. Dearer only: a password that fits Argon2 with other parameters.
    """
    bcrypt_hasher = NodeBcryptPasswordHasher()
    if encoded is not None and encoded.startswith(f"{bcrypt_hasher.algorithm}$"):
        fits = bcrypt_hasher.verify(password, encoded)
        new = make_password(password)
        return fits, new if fits else None
    bcrypt_hasher.verify(password, STAND_IN)
    if encoded is None or not encoded.startswith(f"{Argon2PasswordHasher.algorithm}$"):
        make_password(password)
        return False, None
    fits, is_old = verify_password(password, encoded)
    return fits, make_password(password) if fits and is_old else None


def _candidates(password: str) -> Iterator[str]:
    yield password
    trimmed = password.strip(JAVASCRIPT_SPACE)
    if trimmed != password:
        yield trimmed


def _fits(password: str, original: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:BCRYPT_LIMIT], original.encode())
    except ValueError:  # a NUL in the password, or a hash cut short: neither can fit
        return False
