"""What a kubelet does for one injected container, without a cluster: volumes as folders, fieldRefs, `$$`, a process."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webhook import layout

POD_UID = "7d1f0a52-3c39-4c39-8f0b-0d6c1f5b2a10"
POD_IPS = "10.244.0.17"


@dataclass(frozen=True)
class Pod:
    """An admitted pod and the folder under which its volumes live. `token` is its projected token's text."""

    manifest: Mapping[str, Any]
    root: Path
    token: str

    def create_volumes(self) -> None:
        """A folder for each volume; the projected token is written where the volume says."""
        for volume in self.manifest["spec"]["volumes"]:
            folder = self.root / volume["name"]
            folder.mkdir(mode=0o777)
            for source in volume.get("projected", {}).get("sources", []):
                if "serviceAccountToken" in source:
                    (folder / source["serviceAccountToken"]["path"]).write_text(self.token)

    def container(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(
            c for c in self.manifest["spec"]["initContainers"] if c["name"] == name
        )
        return found

    def folder(self, volume: str) -> Path:
        return self.root / volume

    @property
    def files(self) -> Path:
        """What applications see at /var/run/podkeys."""
        return self.folder(layout.FILES_VOLUME) / layout.FILES_SUBPATH

    def termination_log(self, name: str) -> Path:
        return self.root / f"{name}.termination-log"

    def command(self, name: str) -> list[str]:
        return [self._relocated(name, word) for word in self.container(name)["command"]]

    def environment(self, name: str) -> dict[str, str]:
        """The container's variables and no others, as the kubelet resolves them."""
        return {item["name"]: self._value(name, item) for item in self.container(name)["env"]}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """The container's process; its output is one pipe."""
        self.termination_log(name).touch()
        return subprocess.Popen(
            self.command(name),
            env=self.environment(name),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _value(self, name: str, item: Mapping[str, Any]) -> str:
        if "value" in item:
            return self._relocated(name, item["value"].replace("$$", "$"))
        field = item["valueFrom"]["fieldRef"]["fieldPath"]
        return {"metadata.uid": POD_UID, "status.podIPs": POD_IPS}[field]

    def _relocated(self, name: str, text: str) -> str:
        """`text` with each mount path replaced by its volume's folder, the longest first."""
        container = self.container(name)
        places = {mount["mountPath"]: self.folder(mount["name"]) for mount in container["volumeMounts"]}
        places[container["terminationMessagePath"]] = self.termination_log(name)
        for path in sorted(places, key=len, reverse=True):
            text = text.replace(path, os.fspath(places[path]))
        return text
