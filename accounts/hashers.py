"""Password hashing fit for a small Lambda, and the old application's hashes."""

from collections.abc import Iterator
from typing import Any

import bcrypt
from django.contrib.auth.hashers import Argon2PasswordHasher, BCryptPasswordHasher, mask_hash
from django.utils.translation import gettext as _

# bcryptjs reads no further, and says nothing.
BCRYPT_LIMIT = 72
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
        """Whether the password fits, as typed or as the old application trimmed it."""
        _algorithm, original = encoded.split("$", 1)
        return any(_fits(candidate, original) for candidate in _candidates(password))

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        """Return what an administrator may see of a hash."""
        _algorithm, _empty, variant, cost, data = encoded.split("$", 4)
        return {
            _("algorithm"): f"{self.algorithm} {variant}",
            _("work factor"): cost,
            _("checksum"): mask_hash(data),
        }


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
