"""The chart: what it renders, and that it agrees with the program that it installs."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.chart.charts import CHART, Manifest, helm, manifests, masked, render
from tests.webhook.admissions import container, injected, pod
from webhook import layout
from webhook.serve import serve

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
EVERYTHING = f"--values={HERE / 'everything.yaml'}"
OPENSHIFT = f"--values={CHART / 'values-openshift.yaml'}"
VAULT = f"--values={HERE / 'vault.yaml'}"
# what the chart decides itself, so that no value may
DECIDED = {
    *("listen", "metrics-listen", "tls-cert", "tls-key", "catalog", "cluster"),
    *("image", "image-pull-policy", "agent-python"),
}


def flags_of_serve() -> dict[str, click.Option]:
    return {
        option.opts[0].removeprefix("--"): option
        for option in serve.params
        if isinstance(option, click.Option) and option.opts[0] != "--help"
    }


def schema() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.schema.json").read_text())
    return found


def arguments_of(found: dict[tuple[str, str], Manifest]) -> list[str]:
    pod = found["Deployment", "podkeys-webhook"]["spec"]["template"]["spec"]
    arguments: list[str] = pod["containers"][0]["args"]
    return arguments


def test_helm_finds_nothing_to_complain_about() -> None:
    assert helm("lint", "--strict", str(CHART)).returncode == 0
    for values in (EVERYTHING, VAULT, OPENSHIFT):
        assert helm("lint", "--strict", str(CHART), values).returncode == 0


@pytest.mark.parametrize(
    ("name", "values"), [("default", ()), ("everything", (EVERYTHING,)), ("vault", (VAULT,))]
)
def test_the_chart_renders_to_its_golden_file(name: str, values: tuple[str, ...]) -> None:
    image = yaml.safe_load((HERE / "everything.yaml").read_text())["image"]
    rendered = masked(render(*values, image=image))
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("PODKEYS_GOLDEN") == "rewrite":
        path.write_text(rendered)
    assert rendered == path.read_text()


@pytest.mark.parametrize("word", ["null", "on", "1e3", "123", "0x1f"])
def test_a_name_that_yaml_could_read_as_something_else_stays_text(word: str) -> None:
    """Each is a DNS label, so a namespace, a release or a priority class may be called so."""
    found = manifests(
        EVERYTHING,
        "--set=certificate.from=chart",
        f"--namespace={word}",
        f"--set-string=priorityClassName={word}",
    )
    named = {item["metadata"]["namespace"] for item in found.values() if "namespace" in item["metadata"]}
    assert named == {word}
    pod = found["Deployment", "podkeys-webhook"]["spec"]["template"]
    assert pod["spec"]["priorityClassName"] == word
    binding = found["ValidatingAdmissionPolicyBinding", "pods.podkeys.dev"]["spec"]["matchResources"]
    assert binding["namespaceSelector"]["matchExpressions"][0]["values"] == ["kube-system", word]
    hooks = found["MutatingWebhookConfiguration", "podkeys"]["webhooks"]
    assert [hook["clientConfig"]["service"]["namespace"] for hook in hooks] == [word]
    released = yaml.safe_load_all(helm("template", word, str(CHART), "--set=image=a").stdout)
    assert {item["metadata"]["labels"].get("app.kubernetes.io/instance", word) for item in released} == {word}


def test_without_an_image_it_says_what_to_give() -> None:
    result = helm("template", "podkeys", str(CHART))
    assert result.returncode != 0
    assert "--set image=registry.example.com/podkeys" in result.stderr


@pytest.mark.parametrize(
    "typo",
    [
        "replica=3",
        "flags.deadlines=3",
        "flags.image=other",
        "flags.deadline=soon",
        "certificate.from=vault",
        "certificate.from=letters",
        "backstop.repositories={mirror.example.com/podkeys:1}",
        "networkPolicy.enabled=true",
        "monitoring.serviceMonitor.enable=true",
        "audience=",
        "priorityClassName=a: b",
        "monitoring.prometheusRule.runbooks=a #b",
        "certificate.issuerRef.kind=ClusterIssuer",
        "resources.limits.memory.most=1Gi",
    ],
)
def test_a_value_that_does_not_exist_or_cannot_be_is_refused(typo: str) -> None:
    result = helm("template", "podkeys", str(CHART), "--set=image=podkeys.example.com/podkeys", "--set", typo)
    assert result.returncode != 0
    assert "don't meet the specifications of the schema" in result.stderr


def test_each_flag_of_serve_is_set_by_the_chart_or_is_a_value() -> None:
    values = schema()["properties"]["flags"]["properties"]
    assert set(values) == set(flags_of_serve()) - DECIDED


def test_a_number_that_serve_refuses_is_refused_as_a_value() -> None:
    """Helm would take it, and each new pod would end as it starts."""
    values = schema()["properties"]["flags"]["properties"]
    for name, option in flags_of_serve().items():
        if isinstance(option.type, click.IntRange | click.FloatRange) and name in values:
            bounds = values[name].get("minimum"), values[name].get("maximum")
            assert bounds == (option.type.min, option.type.max), name


@pytest.mark.parametrize("values", [(), (EVERYTHING,), (VAULT,)])
def test_serve_takes_the_arguments_of_the_deployment(values: tuple[str, ...], tmp_path: Path) -> None:
    command, name, *arguments = arguments_of(manifests(*values))
    assert (command, name) == ("webhook", "serve")
    here = [re.sub("=(?=/tls|/catalog)", f"={tmp_path}", argument) for argument in arguments]
    for argument in here:
        flag, _, path = argument.partition("=")
        if flag in ("--tls-cert", "--tls-key", "--cluster"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()
    found = serve.make_context("serve", here).params
    assert found["cluster"] == tmp_path / "catalog" / "cluster.json"
    assert found["cluster"].parent == found["catalog"]


def test_pods_get_the_image_of_the_webhook_unless_another_is_given() -> None:
    assert "--image=registry.example.com/podkeys:0.1.0" in arguments_of(manifests())
    assert "--image=registry.example.com/podkeys-agent:0.1.9" in arguments_of(manifests(EVERYTHING))


def expressions(item: object) -> Iterator[str]:
    if isinstance(item, dict):
        for key, value in item.items():
            if key in ("expression", "messageExpression"):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(item, list):
        for value in item:
            yield from expressions(value)


def test_the_names_in_the_policies_are_those_that_the_webhook_adds() -> None:
    """A name that is missed here would be open in every namespace."""
    found = manifests()
    variables = {
        item["name"]: item["expression"]
        for item in found["ValidatingAdmissionPolicy", "pods.podkeys.dev"]["spec"]["variables"]
    }
    assert yaml.safe_load(variables["ours"]) == list(layout.CONTAINERS)
    assert yaml.safe_load(variables["ourVolumes"]) == list(layout.VOLUMES)
    lists = {
        tuple(re.findall(r"'(podkeys[^']*)'", match))
        for item in found.values()
        for expression in expressions(item)
        for match in re.findall(r" in (\[[^\]]*\])", expression)
    }
    assert lists == {layout.CONTAINERS, layout.VOLUMES}


def test_the_command_in_the_policies_is_the_one_that_the_webhook_gives() -> None:
    checked = list(expressions(manifests()["ValidatingAdmissionPolicy", "pods.podkeys.dev"]))
    for name in layout.CONTAINERS:
        *command, last = container(injected(pod({"secrets": "orders"})), name)["command"]
        assert any(", ".join(f"'{word}'" for word in command) in expression for expression in checked)
        assert any(f"'{last}'" in expression for expression in checked)


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("podkeys", "podkeys"),
        ("registry.example.com:5000/podkeys", "registry.example.com:5000/podkeys"),
        ("registry.example.com:5000/podkeys:1.2", "registry.example.com:5000/podkeys"),
        ("registry.example.com/podkeys@sha256:ab", "registry.example.com/podkeys"),
        ("registry.example.com:5000/a/podkeys:1.2@sha256:ab", "registry.example.com:5000/a/podkeys"),
    ],
)
def test_the_policies_accept_the_repository_of_the_image(image: str, repository: str) -> None:
    policy = manifests(f"--set=image={image}")["ValidatingAdmissionPolicy", "pods.podkeys.dev"]
    assert {"name": "repositories", "expression": f'["{repository}"]'} in policy["spec"]["variables"]


def test_the_webhook_has_no_permission_and_no_token() -> None:
    for values in ((), (EVERYTHING,)):
        found = manifests(*values)
        kinds = {kind for kind, _ in found}
        assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
        assert found["ServiceAccount", "podkeys-webhook"]["automountServiceAccountToken"] is False
        pod = found["Deployment", "podkeys-webhook"]["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False


def test_whatever_refuses_leaves_the_systems_and_its_own_namespace_alone() -> None:
    """Else neither the cluster nor Podkeys could heal itself."""
    found = manifests()
    selectors = [
        item["webhooks"][0]["namespaceSelector"]
        for (kind, _), item in found.items()
        if kind.endswith("WebhookConfiguration")
    ]
    selectors += [
        item["spec"]["matchResources"]["namespaceSelector"]
        for (kind, _), item in found.items()
        if kind == "ValidatingAdmissionPolicyBinding"
    ]
    assert len(selectors) == 6
    for selector in selectors:
        assert selector["matchExpressions"] == [
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-system", "podkeys-system"],
            }
        ]


def test_the_most_replicas_can_be_replaced_within_their_quota() -> None:
    """Two for each while they are replaced, as those that end still count."""
    most = schema()["properties"]["replicas"]["maximum"]
    assert int(manifests()["ResourceQuota", "podkeys-priority"]["spec"]["hard"]["pods"]) >= 2 * most


def test_on_openshift_no_user_and_no_group_is_set() -> None:
    """The security context constraint restricted-v2 chooses both, and refuses pods that choose themselves."""
    rendered = render(OPENSHIFT)
    assert not re.findall(r"runAsUser|runAsGroup|fsGroup|supplementalGroups", rendered)
