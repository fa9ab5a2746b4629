"""The agent beside `bao agent`, doing the same: log in, read one secret, have one certificate made, write files, end.

Both run in turn against one server. Then the sidecar's resident memory while it sleeps.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent import config
from bench.table import header, row, spread
from demo import mounts, openbao
from demo.service_accounts import Issuer

ROUNDS = 21
SECRET = "kv/data/bench/stripe"  # noqa: S105 - a path
PKI_ROLE = "bench"
POLICY = """
path "kv/data/bench/stripe" { capabilities = ["read"] }
path "pki/sign/bench" { capabilities = ["update"] }
path "pki/issue/bench" { capabilities = ["update"] }
"""
BAO_AGENT = """
exit_after_auth = true
pid_file = "{folder}/pid"
vault {{ address = "{address}" }}
auto_auth {{
  method "jwt" {{
    mount_path = "auth/jwt"
    config = {{ path = "{token}", role = "bench", remove_jwt_after_reading = false }}
  }}
}}
template {{
  contents = "{{{{ with secret \\"{secret}\\" }}}}{{{{ .Data.data | toJSON }}}}{{{{ end }}}}"
  destination = "{folder}/stripe"
}}
template {{
  contents = "{{{{ with pkiCert \\"pki/issue/bench\\" \\"common_name=bench.example.com\\" \\"ttl=1h\\" }}}}{{{{ .Key }}}}{{{{ .Cert }}}}{{{{ .CA }}}}{{{{ end }}}}"
  destination = "{folder}/tls.pem"
}}
"""


def prepare(server: openbao.Server) -> Issuer:
    """Mounts, one secret, one PKI role and a login role that both agents use."""
    names = mounts.Mounts("kv", "kv1", "pki", "spiffe", "jwt", Issuer())
    mounts.create(server, names)
    server.call("POST", SECRET, {"data": {"api_key": "bench-value"}})
    server.call("PUT", "sys/policies/acl/bench", {"policy": POLICY})
    server.call(
        "POST",
        f"pki/roles/{PKI_ROLE}",
        {
            "allowed_domains": ["bench.example.com"],
            "allow_bare_domains": True,
            "key_type": "ec",
            "key_bits": 256,
            "key_usage": ["DigitalSignature"],
            "require_cn": False,
            "use_csr_sans": False,
            "use_csr_common_name": False,
            "max_ttl": "1h",
            "not_before_duration": "60s",
        },
    )
    server.call(
        "POST",
        "auth/jwt/role/bench",
        {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": ["vault"],
            "token_policies": ["bench"],
            "token_ttl": "1h",
            "token_type": "batch",
        },
    )
    return names.issuer


def settings(server: openbao.Server, folder: Path, token: Path) -> config.AgentConfig:
    places = {name: str(folder / name) for name in ("files", "env", "state")}
    for place in places.values():
        Path(place).mkdir(exist_ok=True)
    return config.AgentConfig(
        vault=config.Vault(server.address, "", ""),
        login=config.Login("jwt", "bench", str(token)),
        folders=config.Folders(**places, termination_log=str(folder / "termination-log")),
        deadline_seconds=30,
        poll_seconds=300,
        sidecar=True,
        reads={"stripe": config.Read("kv2", SECRET)},
        files=(config.File("secrets/stripe", "stripe", "json", "0440"),),
        certificates=(
            config.Certificate(
                folder="certs/serving",
                mount="pki",
                sign=f"pki/sign/{PKI_ROLE}",
                key="ec-p256",
                usages=("server", "client"),
                ttl_seconds=3600,
                mode="0440",
                files=config.CertificateFiles("tls.crt", "tls.key", "ca.crt", "tls.pem"),
                dns_names=("bench.example.com",),
            ),
        ),
    )


def environment(settings: config.AgentConfig) -> dict[str, str]:
    return {
        config.VARIABLE: config.to_json(settings),
        config.POD_UID_VARIABLE: "bench",
        config.POD_IPS_VARIABLE: "127.0.0.1",
    }


def measured(start: Callable[[], subprocess.Popen[bytes]], made: Path) -> tuple[float, float]:
    """Wall seconds and peak MB of one run, which must end well and have written `made`."""
    begin = time.perf_counter()
    process = start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or not made.exists():
        sys.exit(
            f"{process.args!r} ended with exit code {process.returncode} and {made.name} is {made.exists()}"
        )
    return seconds, usage.ru_maxrss / 1024


def quiet(words: list[str], env: dict[str, str]) -> Callable[[], subprocess.Popen[bytes]]:
    return lambda: subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def asleep(env: dict[str, str]) -> dict[str, float]:
    """A sidecar that has nothing due: MB of its process by the kernel's own account, a few seconds after its start."""
    process = quiet([sys.executable, "-I", "-m", "agent", "sidecar"], env)()
    try:
        time.sleep(4)
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon")}
    finally:
        process.terminate()
        process.wait(10)


def memory() -> str | None:
    """A folder in memory, as a pod's volumes are; None (the usual place) where there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a fresh folder below it


def run() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="podkeys-bench-", dir=memory()) as name,
        openbao.running() as server,
    ):
        folder = Path(name)
        token = folder / "token"
        token.write_text(prepare(server).token("bench", "bench"))
        ours, theirs = folder / "ours", folder / "theirs"
        ours.mkdir()
        theirs.mkdir()
        env = environment(settings(server, ours, token))
        configuration = folder / "bao.hcl"
        configuration.write_text(
            BAO_AGENT.format(folder=theirs, address=server.address, token=token, secret=SECRET)
        )
        agent = quiet([sys.executable, "-I", "-m", "agent", "init"], env)
        bao = quiet([str(openbao.binary()), "agent", f"-config={configuration}"], {"HOME": name})
        pairs = []
        for _ in range(ROUNDS):
            theirs.joinpath("tls.pem").unlink(missing_ok=True)
            pairs.append(
                (measured(agent, ours / "files/certs/serving/tls.pem"), measured(bao, theirs / "tls.pem"))
            )
        report(pairs[1:], asleep(env))


def report(pairs: list[tuple[tuple[float, float], tuple[float, float]]], sleeping: dict[str, float]) -> None:
    """The first pair warms the machine's caches and isn't counted."""
    header("one secret, one certificate", "wall s", "peak MB")
    for name, side in (("podkeys agent init", 0), ("bao agent", 1)):
        times = [pair[side][0] for pair in pairs]
        row(name, spread(times), f"{statistics.median(pair[side][1] for pair in pairs):.0f}")
    ratios = [ours[0] / theirs[0] for ours, theirs in pairs]
    row("ratio of each pair", spread(ratios), f"{pairs[0][0][1] / pairs[0][1][1]:.2f}")
    print(
        f"\nThe sidecar asleep: {json.dumps({name: round(value, 1) for name, value in sleeping.items()})} MB"
    )
