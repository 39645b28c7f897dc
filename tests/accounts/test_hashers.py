import itertools

import bcrypt
import pytest
from django.contrib.auth.hashers import check_password, identify_hasher, make_password

from accounts.hashers import NodeBcryptPasswordHasher
from accounts.models import User
from tests.conftest import PASSWORD, MakeUser

# What bcryptjs 2.4.3 wrote for these passwords; the last one is of the cost that the old application used.
WRITTEN_BY_BCRYPTJS = {
    "correct horse": "$2a$04$heYF4bQEzEVkhnb4mNfA2.OnJ.oiXNTiO1zrrXaAl/.0HRwXGrQ2.",
    "🔑 password": "$2a$04$VTRa9APZW/xO/haeXnjrD./P3Rbc49inTCbVAiAgc5vByoSqXV2JW",
    # longer than 72 bytes: ASCII; cut between two characters; cut in the middle of one
    "0123456789" * 8: "$2a$04$P7l5EOIkNMMED5JPQcY1RerTeUW3ioJIDbwwi0/vgg1KDKqJLkSrS",
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほ": (
        "$2a$04$kGXuFeTW9MG1vDdkIf6p4u2ebU2/O.L4PYcGC1BSA1WRBHVqDxFLK"
    ),
    "x" + "漢" * 30: "$2a$04$J04QNwcywcB7wX41/wOL4.G67FgW1eccN7XuO.gsyOv6M3WpznlZC",
    "タイムカード2025": "$2a$10$zilRxGIZSprigqGUuU1BQukcmwzGLGgk52Rt4FzIKieE98aBQfCfm",
}
B_VARIANT = "$2b$04$oWYCk5w1dH.Ye2VLshPdrel/NN6.p.mSJczSZn0kQ2eBfPbjegp1u"  # of "correct horse"
SHORT = WRITTEN_BY_BCRYPTJS["correct horse"]


def node(original: str) -> str:
    """What the import stores."""
    return f"bcrypt_node${original}"


def old_hash(password: str) -> str:
    return node(bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4, b"2a")).decode())


class TestArgon2:
    def test_the_parameters_are_written_into_every_hash(self) -> None:
        encoded = make_password("a long enough passphrase")
        assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
        assert check_password("a long enough passphrase", encoded)
        assert not check_password("A long enough passphrase", encoded)

    def test_a_hash_with_other_parameters_is_replaced(self, employee: User) -> None:
        weak = "argon2$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$t27tLSzbijAk5+P1zWyJ2Q"  # salt: "somesalt"
        employee.password = weak
        employee.save()
        assert not employee.check_password("wrong password")
        assert employee.password == weak
        assert employee.check_password("weak password")
        employee.refresh_from_db()
        assert employee.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
        assert employee.check_password("weak password")

    def test_a_good_hash_stays(self, employee: User) -> None:
        before = employee.password
        assert employee.check_password(PASSWORD)
        employee.refresh_from_db()
        assert employee.password == before

    @pytest.mark.parametrize("password", ["", "secret\0", "\0secret"])
    def test_odd_passwords_fit_nothing_and_raise_nothing(self, password: str) -> None:
        assert not check_password(password, make_password("secret"))


class TestNodeBcrypt:
    @pytest.mark.parametrize(("password", "original"), WRITTEN_BY_BCRYPTJS.items())
    def test_what_bcryptjs_wrote_is_verified(self, password: str, original: str) -> None:
        assert check_password(password, node(original))
        assert not check_password(f"!{password[1:]}", node(original))

    def test_the_b_variant_too(self) -> None:
        assert check_password("correct horse", node(B_VARIANT))
        assert not check_password("correct horse ", node(SHORT.replace("$2a$", "$2b$"))[:-1] + "x")

    @pytest.mark.parametrize("password", [p for p in WRITTEN_BY_BCRYPTJS if len(p.encode()) > 72])
    def test_only_the_first_72_bytes_ever_counted(self, password: str) -> None:
        encoded = node(WRITTEN_BY_BCRYPTJS[password])
        assert check_password(password + " and more", encoded)
        assert not check_password(password.encode()[:69].decode(errors="ignore"), encoded)

    @pytest.mark.parametrize(
        "typed",
        [
            "secret",
            " secret",
            "secret ",
            "\tsecret\r\n",
            "　secret　",
            "\ufeffsecret",
            "\ufeff \ufeffsecret \ufeff\xa0\u2028",
        ],
    )
    def test_the_old_application_trimmed_what_was_typed(self, typed: str) -> None:
        assert check_password(typed, old_hash("secret"))

    def test_but_a_space_inside_or_in_the_hash_counts(self) -> None:
        assert not check_password("sec ret", old_hash("secret"))
        assert check_password(" secret ", old_hash(" secret "))
        assert not check_password("secret", old_hash(" secret "))
        assert not check_password("secret\x1f", old_hash("secret"))  # space to Python, not to JavaScript

    @pytest.mark.parametrize(
        "broken",
        ["", "$", "$2a$", SHORT[:-1], SHORT[:20], SHORT.replace("$04$", "$99$"), "no hash", "$2a$04$短い"],
    )
    def test_a_hash_that_is_none_fits_nothing(self, broken: str) -> None:
        assert not check_password("correct horse", node(broken))
        assert not check_password("", node(broken))

    @pytest.mark.parametrize("password", ["", "correct\0horse", "correct horse\0", "\ud800"])
    def test_odd_passwords_fit_nothing_and_raise_nothing(self, password: str) -> None:
        assert not check_password(password, node(SHORT))

    def test_it_is_always_replaced(self, employee: User) -> None:
        assert identify_hasher(node(SHORT)).algorithm == "bcrypt_node"
        employee.password = node(SHORT)
        employee.save()
        assert employee.check_password("correct horse")
        employee.refresh_from_db()
        assert identify_hasher(employee.password).algorithm == "argon2"
        assert employee.check_password("correct horse")

    def test_two_sign_ins_at_once_end_in_one_hash(self, employee: User) -> None:
        User.objects.filter(pk=employee.pk).update(password=node(SHORT))
        first, second = User.objects.get(), User.objects.get()
        assert first.check_password("correct horse")
        assert second.check_password("correct horse")
        employee.refresh_from_db()
        assert first.password == second.password == employee.password  # so both sessions go on
        assert identify_hasher(employee.password).algorithm == "argon2"

    def test_a_password_that_was_changed_meanwhile_stays_changed(self, employee: User) -> None:
        User.objects.filter(pk=employee.pk).update(password=node(SHORT))
        signing_in, changing = User.objects.get(), User.objects.get()
        changing.set_password("another horse")
        changing.save()
        assert not signing_in.check_password("correct horse")
        employee.refresh_from_db()
        assert employee.password == changing.password

    def test_a_wrong_password_replaces_nothing(self, employee: User) -> None:
        employee.password = node(SHORT)
        employee.save()
        assert not employee.check_password("wrong horse")
        employee.refresh_from_db()
        assert employee.password == node(SHORT)

    def test_it_encodes_with_a_given_salt_what_it_verifies(self) -> None:
        salt = SHORT[:29]
        assert NodeBcryptPasswordHasher().encode("correct horse", salt) == node(SHORT)

    def test_what_an_administrator_may_see_holds_no_secret(self) -> None:
        shown = NodeBcryptPasswordHasher().safe_summary(node(SHORT))
        assert list(shown.values())[:2] == ["bcrypt_node 2a", "04"]
        assert SHORT[7:] not in "".join(shown.values())


def test_after_the_first_sign_in_only_the_whole_password_fits(make_user: MakeUser) -> None:
    for password, tail in itertools.product(("0123456789" * 8, "x" + "漢" * 30), ("", "!")):
        user = make_user()
        user.password = node(WRITTEN_BY_BCRYPTJS[password])
        user.save()
        whole = password + tail
        assert user.check_password(whole)
        user.refresh_from_db()
        assert identify_hasher(user.password).algorithm == "argon2"
        assert user.check_password(whole)
        assert not user.check_password(whole[:-1])
        assert not user.check_password(f"{whole}!")
        assert not user.check_password(whole.encode()[:72].decode(errors="ignore"))
