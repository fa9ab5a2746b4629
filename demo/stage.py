"""What the steps of the demo share."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from demo import mounts, openbao
from demo.screen import Screen

EXAMPLE = Path(__file__).parent.parent / "deploy" / "example"
CLUSTER = "eu-nl-prod-a"
NAMESPACE = "payments"
SERVICE_ACCOUNT = "payments-api"
CERTIFICATE_SECONDS = 14  # so short that a renewal happens while the reader looks
SECRETS = {  # path below the key-value mount: made anew for each run
    "payments/stripe": {"api_key": secrets.token_urlsafe(18), "webhook_secret": secrets.token_urlsafe(18)},
    f"{CLUSTER}/shared/smtp": {"username": "payments", "password": secrets.token_urlsafe(18)},
    "ledger/signing": {"key": secrets.token_urlsafe(18)},
}


@dataclass(frozen=True)
class Stage:
    """What the steps share: the screen, a temporary folder, the server and its mounts."""

    screen: Screen
    folder: Path
    server: openbao.Server
    mounts: mounts.Mounts

    @property
    def generated(self) -> Path:
        return self.folder / "generated"
