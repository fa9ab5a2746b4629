"""Names, folders and files that an injected pod has. Pure; each stands here once.

Applications see FILES alone, read-only; the other folders exist in our containers only.
"""

from agent.config import CertificateFiles, Folders

INIT = "podkeys-init"
SIDECAR = "podkeys-sidecar"
CONTAINERS = (INIT, SIDECAR)

FILES_VOLUME = "podkeys"
ENV_VOLUME = "podkeys-env"
STATE_VOLUME = "podkeys-state"
TOKEN_VOLUME = "podkeys-token"  # noqa: S105 - a volume's name
VOLUMES = (FILES_VOLUME, ENV_VOLUME, STATE_VOLUME, TOKEN_VOLUME)

FILES = "/var/run/podkeys"
# A memory volume's root is sticky and open to all, where Linux lets nobody follow another user's links
# (fs.protected_symlinks, on by default): so the set has a folder of its own, and applications mount that.
FILES_SUBPATH = "files"
FILES_BY_LINK = "/run/podkeys"  # in most images /var/run is a link to /run
# Where Kubernetes would mount the API token: as something is there, it doesn't.
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a folder
TOKEN_FILE = "token"  # noqa: S105 - a file's name
FOLDERS = Folders(
    files=f"{FILES}/{FILES_SUBPATH}",
    env="/run/podkeys-env",
    state="/run/podkeys-state",
    termination_log="/dev/termination-log",
)

# Memory that a full volume takes; the environment file ends at 128 KiB, and is there twice while it is replaced.
ENV_LIMIT = "1Mi"
STATE_LIMIT = "1Mi"
TOKEN_SECONDS = 600  # the shortest that Kubernetes issues; the kubelet replaces it after 80 % of that

SECRETS_FOLDER = "secrets"
CERTIFICATES_FOLDER = "certs"
IDENTITY = "identity"
DEFAULT_MODE = "0440"
DEFAULT_FORMAT = "json"

SERVING_FILES = CertificateFiles(chain="tls.crt", key="tls.key", ca="ca.crt", combined="tls.pem")
IDENTITY_FILES = CertificateFiles(chain="svid.pem", key="svid.key", ca="bundle.pem")
SVID_KEY = "ec-p256"
SVID_USAGES = ("server", "client")  # X.509-SVID, section 4.4: both, as a workload is either


def secret_path(file_name: str) -> str:
    return f"{SECRETS_FOLDER}/{file_name}"


def certificate_folder(name: str) -> str:
    return f"{CERTIFICATES_FOLDER}/{name}"
