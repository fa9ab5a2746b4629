"""The agent is told by its settings where the server is, and by nothing else of its environment."""

from pathlib import Path

import pytest

from agent.clock import Clock
from agent.config import Vault as Settings
from agent.errors import AgentError
from agent.vault import Vault
from demo import tls
from tests.policies.recording import certified


def test_what_the_environment_says_of_a_server_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client").mkdir()
    certificate, key = tls.write_pair(tmp_path / "client")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password canary\n")
    (tmp_path / ".vault-token").write_text("from-home")
    with (
        certified(tmp_path / "meant", certificate) as meant,
        certified(tmp_path / "trap", certificate) as trap,
    ):
        variables = {
            "ADDR": trap.server.address,
            "AGENT_ADDR": trap.server.address,
            "NAMESPACE": "stray",
            "CACERT": str(trap.ca_file),
            "CLIENT_CERT": str(certificate),
            "CLIENT_KEY": str(key),
            "SKIP_VERIFY": "true",
            "TOKEN": "stray",
        }
        for name, value in variables.items():
            monkeypatch.setenv(f"BAO_{name}", value)
            monkeypatch.setenv(f"VAULT_{name}", value)
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, trap.server.address)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("SSL_CERT_FILE", str(trap.ca_file))
        clock = Clock()
        settings = Settings(meant.server.address, "", meant.ca_file.read_text())
        vault = Vault(settings, clock, deadline=clock.monotonic() + 20)
        assert vault.call("GET", "sys/mounts").ok
        vault.close()
        (received,) = meant.server.received
        assert not received.certified
        assert not {"X-Vault-Token", "X-Vault-Namespace", "Authorization"} & received.headers.keys()
        other = Vault(
            Settings(trap.server.address, "", settings.ca_pem), clock, deadline=clock.monotonic() + 20
        )
        with pytest.raises(AgentError, match="is not trusted"):
            other.call("GET", "sys/mounts")
        assert trap.server.received == []
