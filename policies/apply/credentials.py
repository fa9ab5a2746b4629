"""What is taken from the environment: a token, and with `--address env` where the server is. Nothing else is looked at.

docs/adr/0008-environment-of-the-server.md says why.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from policies.apply.errors import RefusedError, TokenError

TOKEN_VARIABLES = ("BAO_TOKEN", "VAULT_TOKEN")  # the order of OpenBao's own command
FROM_ENVIRONMENT = "env"
_FAMILIES = ("BAO", "VAULT")  # the same order


@dataclass(frozen=True, slots=True)
class Target:
    """Which server is asked. `ca_file`: its CA, PEM, or None for the roots that every client trusts."""

    address: str
    namespace: str
    ca_file: Path | None


def target(given: Target, environment: Mapping[str, str]) -> Target:
    """As given; with the address `env` from BAO_ADDR, else VAULT_ADDR, and what is not given from its fellows.

    Raises RefusedError.
    """
    if given.address != FROM_ENVIRONMENT:
        return given
    family = next((one for one in _FAMILIES if environment.get(f"{one}_ADDR", "").strip()), None)
    if family is None:
        raise RefusedError(
            "--address env: got neither BAO_ADDR nor VAULT_ADDR in the environment, expected one of them, or a URL"
        )
    ca_file = environment.get(f"{family}_CACERT", "").strip()
    return Target(
        environment[f"{family}_ADDR"].strip(),
        given.namespace or environment.get(f"{family}_NAMESPACE", "").strip(),
        given.ca_file or (Path(ca_file) if ca_file else None),
    )


def unused(address: str, namespace: str, environment: Mapping[str, str]) -> Iterator[str]:
    """What the environment says otherwise than what is asked, in words: people know these variables from `bao` and `vault`."""
    for name, taken in (("ADDR", address), ("NAMESPACE", namespace)):
        for variable in (f"{family}_{name}" for family in _FAMILIES):
            value = environment.get(variable, "").strip()
            if value and value.strip("/") != taken.strip("/"):
                where = taken or "the root namespace"
                shown = value.rpartition("@")[2]  # a password may stand before it
                yield f"{where} is asked; {variable} ({shown}) is not used"


def read_token(file: Path | None, environment: Mapping[str, str], needs: str = "") -> str:
    """`needs`: what the token must be allowed, for whoever has none yet. Raises TokenError."""
    if file is not None:
        try:
            return file.expanduser().read_text().strip()
        except RuntimeError:
            raise TokenError(f"--token-file {file}: got no such user's home, expected a path") from None
        except OSError as error:
            raise TokenError(
                f"--token-file {file}: can't be read: {error.strerror}; expected a file that holds the token alone"
            ) from None
        except UnicodeDecodeError:
            raise TokenError(
                f"--token-file {file}: got no UTF-8 text, expected a file that holds the token alone"
            ) from None
    for variable in TOKEN_VARIABLES:
        if token := environment.get(variable, "").strip():
            return token
    hint = f"; {needs}" if needs else ""
    raise TokenError(f"no token; set BAO_TOKEN or VAULT_TOKEN, or give --token-file FILE{hint}")


def of_cluster(file: Path | None, cluster: str) -> Path | None:
    """`{cluster}` in the file's path stands for the cluster's name."""
    return None if file is None else Path(str(file).replace("{cluster}", cluster))
