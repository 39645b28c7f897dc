"""The authorities that a connection to the database is verified by: script/certificates made the file."""

import datetime as dt
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from django.conf import settings

from timerecord.core import clock

BUNDLE = settings.BASE_DIR / "timerecord" / "aws" / "certificates.pem"
# As AWS and Mozilla publish them: https://www.amazontrust.com/repository/
AMAZON_ROOTS = {
    "Amazon Root CA 1": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "Amazon Root CA 2": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "Amazon Root CA 3": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "Amazon Root CA 4": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
}


def name_of(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.fixture(scope="module")
def certificates() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(BUNDLE.read_bytes())


def test_the_roots_of_rds_proxys_certificates_are_there(certificates: list[x509.Certificate]) -> None:
    found = {name_of(one): one.fingerprint(hashes.SHA256()).hex() for one in certificates}
    assert {name: found.get(name) for name in AMAZON_ROOTS} == AMAZON_ROOTS


@pytest.mark.parametrize("region", ["ap-northeast-1", "ap-northeast-3", "us-east-1", "eu-central-1"])
@pytest.mark.parametrize("kind", ["RSA2048", "RSA4096", "ECC384"])
def test_so_are_those_of_rds_in_each_region(
    certificates: list[x509.Certificate], region: str, kind: str
) -> None:
    assert f"Amazon RDS {region} Root CA {kind} G1" in {name_of(one) for one in certificates}


def test_all_are_authorities_signed_by_themselves_and_each_is_there_once(
    certificates: list[x509.Certificate],
) -> None:
    for one in certificates:
        assert one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, name_of(one)
        if name_of(one) not in AMAZON_ROOTS:
            assert name_of(one).startswith("Amazon RDS "), name_of(one)
        one.verify_directly_issued_by(one)
    assert len({one.fingerprint(hashes.SHA256()) for one in certificates}) == len(certificates) > 80


def test_none_is_over_within_the_next_years(certificates: list[x509.Certificate]) -> None:
    """When this fails, make the file anew."""
    soon = clock.now() + dt.timedelta(days=2 * 365)
    assert [name_of(one) for one in certificates if one.not_valid_after_utc < soon] == []


def test_what_is_said_beside_each_is_true(certificates: list[x509.Certificate]) -> None:
    said = re.findall(r"^# (.+), until (\S+)$", BUNDLE.read_text(), re.MULTILINE)
    assert said == [(name_of(one), one.not_valid_after_utc.date().isoformat()) for one in certificates]
