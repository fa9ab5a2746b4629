"""In which group of `reach` a path stands: the one that a security reviewer would look for it in."""

import pytest

from policies.review.meanings import Meaning, meaning
from tests.policies.templated_policies import grant, rules

GROUPS = {
    Meaning.BUT_NOT: ["deny kv/data/a", "deny,read sys/raw"],
    Meaning.OWN_TOKEN: ["update auth/token/renew-self", "read auth/token/lookup-self", "update sys/leases/renew"],
    Meaning.EVERY_TOKEN: [
        "update sys/capabilities-self", "update sys/wrapping/unwrap", "update sys/tools/hash/sha2-256", "create,read cubbyhole/*",
    ],
    Meaning.SERVER: [
        "create,update sys/policies/acl/*", "read sys/policies/acl/x", "sudo,update sys/seal", "read,sudo sys/*", "read sys/storage/raft/snapshot",
        "update auth/jwt/role/x", "update auth/token/*", "update auth/token/roles/x", "read identity/entity/id/*", "update identity/group",
        "read *", "update +/*", "update sys",
    ],
    Meaning.ENGINES: [
        "update database/config/pg", "update database/roles/app", "update database/rotate-root/pg", "update pki/roles/web",
        "update pki/config/urls", "update pki/revoke", "update pki/tidy", "update pki-eu/*", "update pki/+/web", "update ssh/roles/admin",
        "update transit/keys/key/config", "update transit/*", "update database/*", "update kv/config", "update team/pki/keys/generate/internal",
    ],
    Meaning.CREDENTIALS: [
        "read database/creds/app", "read team/database/creds/*", "read database/static-creds/app", "read database/*", "read +/creds/x",
        "update auth/token/create", "update auth/token/create/ci", "sudo,update auth/token/create-orphan", "update auth/token/create*",
        "update auth/approle/role/x/secret-id", "update auth/userpass/login/x", "read identity/oidc/token/x", "update aws/sts/x",
        "update kubernetes/creds/x", "read gcp/roleset/x/token", "read totp/code/x", "update ssh/creds/otp",
    ],
    Meaning.SIGNS: [
        "update pki/sign/web", "create pki/issue/web", "update pki/sign-verbatim", "update pki/sign-self-issued", "update ssh/sign/admin",
        "update pki/issuer/default/sign/web", "update pki/root/sign-intermediate", "update pki/root/generate/internal",
        "update pki/intermediate/set-signed", "update team/pki/sign/*",
    ],
    Meaning.KEYS: [
        "update transit/sign/key", "update transit-eu/sign/key/sha2-256", "update transit/decrypt/key", "update keys/encrypt/key", "update keys/hmac/key",
    ],
    Meaning.WRITES: ["update kv/data/a", "delete kv/metadata/a", "update kv/destroy/a", "create kv/data/sign/a", "update,read kv/a", "update kv/*"],
    Meaning.READS: [
        "read kv/data/a", "read kv/data/creds/x", "read kv/data/token/x", "read kv/data/root/x", "read +/data/a", "read kv/a", "read kv/sign/a",
        "read kv/config/a", "list kv/metadata/", "read transit/export/signing-key/key", "read kv/*",
    ],
}  # fmt: skip


def test_every_group_has_paths_here() -> None:
    assert set(GROUPS) == set(Meaning)


@pytest.mark.parametrize("group", GROUPS)
def test_a_path_stands_where_a_reviewer_looks_for_it(group: Meaning) -> None:
    for line in GROUPS[group]:
        capabilities, _, path = line.partition(" ")
        [rule] = rules(grant(path, *capabilities.split(",")))
        assert (line, meaning(rule)) == (line, group)


def test_what_any_engine_may_have_there_is_no_reading_alone() -> None:
    """A key-value store of version 1 may have such paths too: what gives more is said."""
    [rule] = rules(grant("kv/app/creds/x", "read"))
    assert meaning(rule) is Meaning.CREDENTIALS
