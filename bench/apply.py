"""Plan and apply against a real OpenBao on this machine, as the number of roles grows."""

import subprocess
import tempfile
from pathlib import Path

from bench.generate import CLUSTER, SIZES, timed, write_roles
from bench.table import header, row
from demo import mounts, openbao
from demo.programs import PODKEYS
from demo.service_accounts import Issuer

STEPS = (("plan", "all new", 2), ("apply", "all new", 0), ("plan", "up to date", 0))
ADDRESS = "https://vault.example.com:8200"


def run() -> None:
    """The growth is what each role more than the fewest takes: the same in each row where it is linear."""
    titles = [f"{command}, {state}" for command, state, _ in STEPS]
    header("roles", *(word for title in titles for word in (f"{title} s", "ms a role more")))
    fewest: list[float] = []
    for count in SIZES:
        seconds = measured(count)
        fewest = fewest or seconds
        more = count - SIZES[0]
        growth = [
            (took - first) / more * 1000 if more else None
            for took, first in zip(seconds, fewest, strict=True)
        ]
        row(
            count,
            *(
                cell
                for took, grew in zip(seconds, growth, strict=True)
                for cell in (f"{took:.2f}", "" if grew is None else f"{grew:.2f}")
            ),
        )


def measured(count: int) -> list[float]:
    """Seconds of each step, in a process of its own, on a server that holds nothing before."""
    of = mounts.Mounts("kv", "kv1", "pki-bench", "spiffe-bench", "jwt-bench", Issuer())
    with openbao.running() as server, tempfile.TemporaryDirectory(prefix="podkeys-bench-") as name:
        mounts.create(server, of)
        folder = Path(name)
        words = write_roles(folder, count, cluster=CLUSTER.replace(ADDRESS, server.address))
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        (folder / "token").write_text(server.root_token)
        where = [
            "--cluster",
            "bench",
            "--generated",
            str(folder / "out"),
            "--token-file",
            str(folder / "token"),
        ]
        return [timed([PODKEYS, "policies", command, *where], code=code)[0] for command, _, code in STEPS]
