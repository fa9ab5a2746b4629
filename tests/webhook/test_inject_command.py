"""`podkeys webhook inject`, run as a program over a catalog on disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from policies.catalog import Manifest, cluster_json, digest, manifest_json, namespace_json, to_bytes
from tests.webhook.admissions import CATALOG, CLUSTER

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: payments, namespace: payments}
spec:
  template:
    metadata: {annotations: {podkeys.dev/inject: "true", podkeys.dev/secrets: stripe}}
    spec:
      serviceAccountName: payments-api
      containers: [{name: app, image: a, env: [{name: D, value: "2024-01-01"}, {name: F, value: 1e3}]}]
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("generated")
    (home / "catalog").mkdir()
    files = {f"{name}.json": to_bytes(namespace_json(item)) for name, item in CATALOG.namespaces.items()}
    manifest = Manifest(CLUSTER.name, {name: digest(content) for name, content in files.items()})
    for name, content in {**files, "manifest.json": to_bytes(manifest_json(manifest))}.items():
        (home / "catalog" / name).write_bytes(content)
    (home / "cluster.json").write_bytes(to_bytes(cluster_json(CLUSTER)))
    return home


def run(catalog: Path, text: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "podkeys", "webhook", "inject", "-f", "-"]
    paths = ["--catalog", str(catalog / "catalog"), "--cluster", str(catalog / "cluster.json")]
    return subprocess.run(
        [*command, *paths, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_a_workload_shows_the_pod_that_it_would_create(catalog: Path) -> None:
    done = run(catalog, DEPLOYMENT)
    assert (done.returncode, done.stderr) == (0, "")
    pod = yaml.safe_load(done.stdout)
    assert (pod["kind"], pod["metadata"]["generateName"]) == ("Pod", "payments-")
    assert [item["name"] for item in pod["spec"]["initContainers"]] == ["podkeys-init"]
    env = pod["spec"]["containers"][0]["env"]
    assert env == [{"name": "D", "value": "2024-01-01"}, {"name": "F", "value": "1e3"}]
    assert "value: '1e3'" in done.stdout  # other readers take it for a number


def test_diff_shows_only_what_is_added(catalog: Path) -> None:
    done = run(catalog, DEPLOYMENT, "--diff")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["--- Deployment/payments as created", "+++ Deployment/payments as admitted"]
    assert "+  - name: podkeys-init" in lines
    assert not [line for line in lines[2:] if line.startswith("-")]


def test_a_refusal_stands_on_standard_error_and_the_exit_code_is_one(catalog: Path) -> None:
    done = run(catalog, DEPLOYMENT.replace("stripe", "strpe"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Deployment/payments: refused: podkeys.dev/secrets: got ")
    assert done.stderr.endswith("did you mean stripe?\n")


def test_annotations_on_the_workload_itself_are_pointed_out(catalog: Path) -> None:
    """The webhook sees pods alone, so such a workload would run without its secrets, silently."""
    moved = yaml.safe_load(DEPLOYMENT)
    moved["metadata"]["annotations"] = moved["spec"]["template"].pop("metadata")["annotations"]
    done = run(catalog, yaml.safe_dump(moved))
    assert "podkeys-init" not in done.stdout
    assert done.stderr == (
        "Deployment/payments: note: podkeys.dev/inject stands on the Deployment itself, where it does nothing; "
        "put it under spec.template.metadata.annotations\n"
    )


def test_a_manifest_without_namespace_says_which_is_meant(catalog: Path) -> None:
    homeless = DEPLOYMENT.replace(", namespace: payments}", "}")
    lines = run(catalog, homeless).stderr.splitlines()
    assert lines[0] == (
        "Deployment/payments: note: no namespace in the manifest, so default; give the one it is for with -n"
    )
    assert lines[1].startswith('Deployment/payments: refused: namespace "default" has no role')
    done = run(catalog, homeless, "-n", "payments")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_cannot_break_the_line_or_the_terminal(catalog: Path) -> None:
    done = run(
        catalog,
        DEPLOYMENT.replace("name: payments", 'name: "a\\n::warning::\\e]0;x\\u202e"', 1).replace(
            "stripe", "strpe"
        ),
    )
    assert done.stderr.startswith("Deployment/a\\n::warning::")
    assert all(line.isprintable() for line in done.stderr.splitlines())


def test_the_namespace_may_be_given(catalog: Path) -> None:
    done = run(catalog, DEPLOYMENT, "--namespace", "shop")
    assert done.returncode == 1
    assert "no role of namespace shop lists" in done.stderr


def test_a_warning_stands_on_standard_error(catalog: Path) -> None:
    text = DEPLOYMENT.replace("secrets: stripe", 'certificates: serving, podkeys.dev/sidecar: "false"')
    done = run(catalog, text)
    assert done.returncode == 0
    assert done.stderr == (
        "Deployment/payments: warning: podkeys.dev/sidecar is false: nothing renews certificate serving\n"
    )


def test_of_several_documents_pods_are_shown_and_one_refusal_counts(catalog: Path) -> None:
    """Such as what `helm template` prints."""
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {enum: [=, <]}\n"
    both = f"{{apiVersion: v1, kind: List, items: [{{kind: ConfigMap}}]}}\n---\n{DEPLOYMENT}"
    done = run(catalog, "---\n".join([service, both, DEPLOYMENT.replace("stripe", "strpe"), DEPLOYMENT]))
    assert done.returncode == 1
    assert len(list(yaml.safe_load_all(done.stdout))) == 2
    assert done.stderr.count("refused") == 1


def test_a_pod_that_does_not_ask_is_shown_as_it_is(catalog: Path) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "c"}]},
    }
    done = run(catalog, yaml.safe_dump(pod))
    assert (done.returncode, yaml.safe_load(done.stdout)) == (0, pod)
    assert run(catalog, yaml.safe_dump(pod), "--diff").stdout == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got no pod, expected a Pod, Deployment"),
        ("kind: Service", "got no pod, expected a Pod, Deployment"),
        ("a: [", "got no YAML"),
        ("- a", "got a document without a kind"),
        ("text", "got a document without a kind"),
        ("kind: Deployment", "Deployment/?: got nothing at spec.template, expected a pod template"),
        ("kind: CronJob\nspec: {jobTemplate: []}", "got nothing at spec.jobTemplate.spec.template"),
        ("kind: Pod\nmetadata: {}\nspec: {1: 2}", "got what JSON can't hold"),
        ('kind: Pod\nmetadata: {name: "\\ud800"}\nspec: {}', "got no YAML"),
        ("kind: Pod\nmetadata: {name: 36893488147419103232}\nspec: {}", "got what JSON can't hold"),
        ("kind: Pod\nspec: {}", "refused: this pod can't be read: metadata: got nothing"),
        ("kind: Pod\nmetadata: &a {annotations: *a}", "aliases written out"),
        ("[" * 5000, "got no YAML"),
        ("kind: Pod\nspec: " + "[" * 200 + "]" * 200, "nested more than 100 deep"),
    ],
)
def test_what_is_no_manifest_is_told_and_the_exit_code_is_one(catalog: Path, text: str, said: str) -> None:
    done = run(catalog, text)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("last", ["[*a9]", "!!omap [x: *a9]"])
def test_aliases_that_multiply_are_refused_at_once(catalog: Path, last: str) -> None:
    """A few hundred bytes of a proposed change must not fill the memory of the machine that shows it."""
    lines = ["a0: &a0 [x, x]", *(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]" for at in range(1, 10))]
    done = run(catalog, "\n".join(["kind: Pod", *lines, f"last: {last}"]))
    assert done.returncode == 1
    assert "aliases written out" in done.stderr


def test_the_operators_flags_and_variables_are_those_of_serve(catalog: Path) -> None:
    flags = [
        "--image",
        "registry.example.com/agent:2",
        "--deadline",
        "90",
        "--uid",
        "1234",
        "--proxies",
        "app,x",
    ]
    text = DEPLOYMENT.replace("containers: [{", "containers: [{name: other, image: b}, {")
    done = run(catalog, text, *flags, PODKEYS_POLL_INTERVAL="7", PODKEYS_INIT_CPU="1")
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load(done.stdout)["spec"]
    init = spec["initContainers"][0]
    assert init["image"] == "registry.example.com/agent:2"
    assert '"deadlineSeconds":90' in init["env"][0]["value"]
    assert '"pollSeconds":7' in init["env"][0]["value"]
    assert init["securityContext"]["runAsUser"] == 1234
    assert init["resources"]["requests"]["cpu"] == "1"
    assert [item["name"] for item in spec["containers"] if "volumeMounts" in item] == ["other"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--image", ""], "--image: got '', expected the name of an image"),
        (
            ["--init-memory", "9Mi", "--init-memory-limit", "49Mi"],
            "--init-memory-limit: got 49Mi, expected at least 50Mi",
        ),
        (["--files-limit", "64Mi"], "--init-memory-limit: got 64Mi, expected at least 106Mi"),
        (["--sidecar-memory-limit", "20M"], "--sidecar-memory-limit: got 20M, expected at least 50Mi"),
        (["--sidecar-cpu", "2"], "--sidecar-cpu: got 2, expected at most --sidecar-cpu-limit, 500m"),
        (["--init-memory", "lots"], "got 'lots', expected a quantity of memory such as 64Mi"),
        (["--sidecar-cpu", "0.1"], "got '0.1', expected a quantity of CPU such as 100m"),
        (["--uid", "0"], "0 is not in the range"),
        (["--deadline", "0"], "0 is not in the range"),
        (["--image-pull-policy", "Sometimes"], "'Sometimes' is not one of"),
    ],
)
def test_flags_that_do_not_fit_are_told_and_the_exit_code_is_64(
    catalog: Path, flags: list[str], said: str
) -> None:
    done = run(catalog, DEPLOYMENT, *flags)
    assert done.returncode == 64
    assert said in " ".join(done.stderr.split())


def test_a_catalog_that_is_not_there_or_broken_is_told(catalog: Path, tmp_path: Path) -> None:
    done = run(catalog, DEPLOYMENT, "--cluster", str(catalog / "nowhere.json"))
    assert done.returncode == 64, "as serve"
    assert "nowhere.json" in done.stderr
    (tmp_path / "cluster.json").write_text("{")
    done = run(catalog, DEPLOYMENT, "--cluster", str(tmp_path / "cluster.json"))
    assert done.returncode == 1
    assert "cluster.json" in done.stderr
