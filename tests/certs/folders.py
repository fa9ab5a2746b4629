"""Folders as the agent lays them out, swapped as the kubelet and the agent swap them."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from certs import keys, pem
from certs.keys import PrivateKey
from tests.certs import authority
from tests.certs.authority import Asked, Authority

SPIFFE_ID = "spiffe://example.com/ns/payments/sa/payments-api"
NAMES = (x509.DNSName("payments.payments"), x509.DNSName("payments.payments.svc"))


@dataclass(frozen=True)
class Pair:
    key: PrivateKey
    chain: bytes
    ca: bytes

    @property
    def serving(self) -> dict[str, bytes]:
        key = keys.private_key_pem(self.key)
        return {"tls.crt": self.chain, "tls.key": key, "ca.crt": self.ca, "tls.pem": key + self.chain}

    @property
    def identity(self) -> dict[str, bytes]:
        return {"svid.pem": self.chain, "svid.key": keys.private_key_pem(self.key), "bundle.pem": self.ca}


def pair(asked: Asked, root: Authority | None = None) -> Pair:
    root = root or authority.root()
    key = keys.generate("ec-p256")
    return Pair(key, pem.to_pem(root.sign(key.public_key(), asked)), root.pem)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def swap(parent: Path, stamp: str, folders: dict[str, dict[str, bytes]]) -> None:
    """Write `..STAMP/` whole, then repoint `..data` by rename; the names in the parent go through `..data`."""
    for name, files in folders.items():
        write(parent / f"..{stamp}" / name, files)
        top = parent / name.split("/")[0]
        if not top.is_symlink():
            top.symlink_to(f"..data/{top.name}")
    (parent / "..data_tmp").symlink_to(f"..{stamp}")
    os.replace(parent / "..data_tmp", parent / "..data")  # noqa: PTH105 - the call that the agent makes
