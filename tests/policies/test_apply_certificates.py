"""A PKI role in the tree reaches no further than its place: what the real server would give is refused before it is written."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import tree
from policies.apply.errors import TreeError
from tests.policies import trees

SERVING, IDENTITY = "payments/payments/pki.serving.json", "payments/payments/identity.api.json"
OTHER = "storefront.web.svc"
OTHERS_ID = "spiffe://east.example.com/ns/web/sa/storefront"


@pytest.fixture
def made(tmp_path: Path, mounts: Mounts) -> trees.Tree:
    found = trees.Tree(tmp_path, trees.cluster(mounts, "https://vault.example.com:8200")).start()
    found.role("payments", "payments")
    found.edit(SERVING, **trees.POD_IP)
    return found


def csr(name: x509.GeneralName) -> str:
    """A request that asks for this name by itself, whatever the parameters beside it say."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    asked = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    signed = asked.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("file", "fields", "name"),
    [
        (SERVING, {"allow_any_name": True, "use_csr_sans": True}, x509.DNSName(OTHER)),
        (SERVING, {"allowed_domains": [OTHER], "use_csr_sans": True}, x509.DNSName(OTHER)),
        (
            IDENTITY,
            {"allowed_uri_sans": [OTHERS_ID], "use_csr_sans": True},
            x509.UniformResourceIdentifier(OTHERS_ID),
        ),
    ],
)
def test_a_role_with_which_the_server_signs_for_another_service_is_refused(
    bao: Server, made: trees.Tree, file: str, fields: dict[str, object], name: x509.GeneralName
) -> None:
    """The stanza that limits parameters does not look into the request."""
    mount = made.cluster.serving_mount if file == SERVING else made.cluster.identity_mount
    bao.call("POST", f"{mount}/roles/open", trees.pki_fields(**fields))
    pem = bao.call("POST", f"{mount}/sign/open", {"csr": csr(name)})["data"]["certificate"]
    given = x509.load_pem_x509_certificate(pem.encode()).extensions
    assert name in given.get_extension_for_class(x509.SubjectAlternativeName).value
    made.edit(file, **fields)
    with pytest.raises(TreeError, match=r"data\.\w+: got .*, expected .*, by its place"):
        tree.read(made.top, "east")


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        (SERVING, "allowed_domains", ["payments"]),
        (SERVING, "allowed_domains", ["*.payments"]),
        (SERVING, "allowed_domains", ["payments.payments", "payments.web"]),
        (SERVING, "allowed_domains", "payments.web"),
        (SERVING, "allowed_uri_sans", ["spiffe://east.example.com/ns/payments/sa/api"]),
        (SERVING, "allowed_ip_sans_cidr", []),
        (SERVING, "allowed_ip_sans_cidr", ["0.0.0.0/0"]),
        (SERVING, "allowed_ip_sans_cidr", ["10.244.0.0/16", "::/0"]),
        (SERVING, "allowed_ip_sans_cidr", ["10.0.0.0/7"]),
        (SERVING, "allowed_ip_sans_cidr", ["pods"]),
        (SERVING, "use_csr_common_name", True),
        (SERVING, "allow_localhost", True),
        (SERVING, "allowed_other_sans", ["*"]),
        (SERVING, "allow_subdomains", "true"),
        (IDENTITY, "allowed_domains", ["payments.payments"]),
        (IDENTITY, "allow_ip_sans", True),
        (IDENTITY, "allowed_uri_sans", ["spiffe://east.example.com/ns/payments/sa/worker"]),
        (IDENTITY, "allowed_uri_sans", ["spiffe://*/ns/payments/sa/api"]),
        (IDENTITY, "allowed_uri_sans", ["spiffe://east.example.com/ns/web/ns/payments/sa/api"]),
    ],
)
def test_names_of_others_and_what_lets_any_name_through_are_refused(
    made: trees.Tree, file: str, field: str, value: object
) -> None:
    made.edit(file, **{field: value})
    with pytest.raises(TreeError, match=r"data\.allow|data\.use"):
        tree.read(made.top, "east")


def test_what_the_server_opens_by_itself_must_be_shut_in_the_file(made: trees.Tree) -> None:
    made.file(
        made.root / SERVING,
        f"{made.cluster.serving_mount}/roles/podkeys.payments.payments.serving",
        {"max_ttl": "1h"},
    )
    with pytest.raises(TreeError, match=r"data\.allow_localhost: got True, expected False"):
        tree.read(made.top, "east")
