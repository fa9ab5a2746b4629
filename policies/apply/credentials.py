"""The server token: from a file, else from the environment, and nothing else is looked at."""

from collections.abc import Mapping
from pathlib import Path

from policies.apply.errors import TokenError

TOKEN_VARIABLES = ("BAO_TOKEN", "VAULT_TOKEN")  # the order of OpenBao's own command


def read_token(file: Path | None, environment: Mapping[str, str], needs: str = "") -> str:
    """`needs`: what the token must be allowed, for whoever has none yet. Raises TokenError."""
    if file is not None:
        try:
            return file.read_text().strip()
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
