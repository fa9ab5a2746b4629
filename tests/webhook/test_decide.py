"""What a pod gets, and each reason why it doesn't, with what to change."""

from dataclasses import replace
from typing import Any

import pytest

from agent import config as agent
from tests.webhook.admissions import (
    CATALOG,
    CLUSTER,
    SETTINGS,
    Json,
    answer,
    container,
    injected,
    pod,
    reason,
    refusal,
    review,
)
from webhook.config import LoadedCatalog

OPENSHIFT = replace(CATALOG, cluster=replace(CLUSTER, platform="openshift"))
OLD_NODES = replace(CATALOG, cluster=replace(CLUSTER, min_kubelet=(1, 34)))


def settings_of(value: Json, name: str = "podkeys-init") -> agent.AgentConfig:
    """The agent's settings as it reads them, after the kubelet's expansion of $$."""
    env = container(value, name)["env"]
    return agent.parse(env[0]["value"].replace("$$", "$"))


def names(value: Json, field: str = "initContainers") -> list[str]:
    return [item["name"] for item in value["spec"].get(field, [])]


def app(**fields: object) -> list[Json]:
    return [{"name": "app", "image": "registry.example.com/payments:1", **fields}]


# What is left alone


def test_a_pod_without_our_annotations_is_untouched() -> None:
    plain = pod()
    for annotations in ({}, None, {"example.com/inject": "true"}):
        plain["metadata"]["annotations"] = annotations
        response = answer(review(plain))
        assert (response["allowed"], response["auditAnnotations"]["reason"]) == (True, "not-annotated")
        assert "patch" not in response


def test_a_pod_that_opts_out_is_untouched() -> None:
    assert reason(pod({"inject": "false", "secrets": "anything"})) == "opted-out"


@pytest.mark.parametrize("value", ["False", "FALSE", "no", "", "true ", "TRUE"])
def test_any_other_spelling_of_inject_is_refused(value: str) -> None:
    """Invariant: a pod that asked for injection never runs without it; a guess may be wrong either way."""
    assert reason(pod({"inject": value, "secrets": "stripe"})) == "annotation"


# Who may use which role


def test_the_role_is_the_only_one_that_lists_the_service_account() -> None:
    assert (
        settings_of(injected(pod({"secrets": "stripe"}))).login.role
        == "podkeys.payments.payments.payments-api"
    )


def test_the_namespace_is_the_reviews_and_not_the_pods() -> None:
    """A pod's author writes metadata.namespace, the API server writes the review's."""
    forged = pod({"secrets": "stripe"})
    forged["metadata"]["namespace"] = "payments"
    assert (
        'namespace "elsewhere" has no role'
        in answer(review(forged, namespace="elsewhere"))["status"]["message"]
    )


@pytest.mark.parametrize("account", [{}, {"serviceAccountName": ""}, {"serviceAccountName": None}])
def test_without_a_service_account_it_is_default(account: Json) -> None:
    value = pod({"secrets": "stripe"})
    value["spec"].pop("serviceAccountName")
    value["spec"] |= account
    assert 'got nothing, so "default", which no role of namespace payments lists' in refusal(value)
    response = answer(review(value, namespace="platform"))
    assert response["auditAnnotations"]["role"] == "platform"


def test_the_old_name_of_the_service_account_field_counts() -> None:
    value = pod({"secrets": "stripe"}, serviceAccountName="", serviceAccount="payments-worker")
    assert settings_of(injected(value)).login.role.endswith("payments-worker")


def test_a_role_that_is_not_here_is_refused_with_those_that_are() -> None:
    told = refusal(pod({"role": "paymnts", "secrets": "stripe"}))
    assert (
        told
        == 'podkeys.dev/role: got "paymnts", expected a role of namespace payments: payments; did you mean payments?'
    )


def test_a_service_account_that_the_role_does_not_list_is_refused_with_the_file_to_change() -> None:
    told = refusal(pod({"role": "payments", "secrets": "stripe"}, serviceAccountName="intruder"))
    assert 'got "intruder", but role payments is for payments-api, payments-worker' in told
    assert "role file payments.yaml" in told


def test_of_several_roles_one_must_be_named() -> None:
    value = pod({"secrets": "stripe"}, serviceAccountName="web")
    assert "name one of cart, orders" in answer(review(value, namespace="shop"))["status"]["message"]
    value["metadata"]["annotations"]["podkeys.dev/role"] = "orders"
    assert answer(review(value, namespace="shop"))["auditAnnotations"]["role"] == "orders"


# What is asked for


@pytest.mark.parametrize(
    ("annotations", "code", "said"),
    [
        (
            {"secrets": "strpe"},
            "undeclared",
            "to add it, change role file payments.yaml; did you mean stripe?",
        ),
        ({"certificates": "servng"}, "undeclared", "did you mean serving?"),
        ({"secrets": "serving"}, "undeclared", "it declares orders, smtp, stripe"),
        ({"env": "X=nosuch.key"}, "env", "does not declare (it allows smtp in the environment)"),
        ({"env": "X=stripe.key"}, "env", "set env: true for it in role file payments.yaml"),
        ({"env": "X=orders.password"}, "env", "a database account: it changes while the pod runs"),
        (
            {"secrets": "stripe", "file.smtp": "a"},
            "not-selected",
            "which this pod does not get (it gets stripe)",
        ),
        ({"secrets": "stripe", "key.smtp": "a"}, "not-selected", "podkeys.dev/key.smtp"),
        ({"secrets": "stripe", "template.smtp": "{{ a }}"}, "not-selected", "podkeys.dev/template.smtp"),
        ({"env": "X=smtp.a", "format.smtp": "json"}, "not-selected", "podkeys.dev/format.smtp"),
        ({"secrets": "stripe", "mode.serving": "0400"}, "not-selected", "podkeys.dev/mode.serving"),
        ({"certificates": "serving", "format.serving": "json"}, "not-selected", "podkeys.dev/format.serving"),
        ({"secrets": "stripe", "mode.identity": "0400"}, "not-selected", "podkeys.dev/mode.identity"),
        (
            {"secrets": "stripe,smtp", "file.smtp": "stripe"},
            "collision",
            "would both be the file secrets/stripe",
        ),
        ({"secrets": "stripe,smtp", "file.smtp": "x", "file.stripe": "x"}, "collision", "secrets/x"),
        ({"secrets": "stripe", "on-change": "http:80/"}, "annotation", 'set podkeys.dev/sidecar: "true"'),
        (
            {"certificates": "serving", "sidecar": "false", "on-change": "http:80/"},
            "annotation",
            "no sidecar",
        ),
        ({"secrets": "stripe", "containers": "ap"}, "containers", "did you mean app?"),
    ],
)
def test_what_the_role_or_the_pod_does_not_have_is_refused(
    annotations: dict[str, str], code: str, said: str
) -> None:
    value = pod(annotations)
    assert said in refusal(value)
    assert reason(value) == code


def test_an_identity_that_the_role_lacks_is_refused() -> None:
    role = CATALOG.namespaces["payments"].roles["payments"]
    accounts = {name: replace(account, identity=None) for name, account in role.service_accounts.items()}
    bare = replace(role, service_accounts=accounts, secrets={}, certificates={})
    catalog = replace(
        CATALOG, namespaces={"payments": replace(CATALOG.namespaces["payments"], roles={"payments": bare})}
    )
    told = refusal(pod({"identity": "true", "secrets": "all", "certificates": "all"}), catalog=catalog)
    assert "declares no identity; add identity to role file payments.yaml" in told
    assert "got all, but role payments declares no secrets" in told
    assert "got all, but role payments declares no certificates" in told


def test_all_problems_are_told_at_once_in_a_stable_order() -> None:
    value = pod({"secrets": "strpe", "certificate": "x", "sidecar": "no", "containers": "ap"}, hostPID=True)
    first = refusal(value)
    assert first.startswith("5 problems:\n1. podkeys.dev/certificate: ")
    value["metadata"]["annotations"] = dict(reversed(value["metadata"]["annotations"].items()))
    assert refusal(value) == first


def test_env_is_refused_where_kubelets_are_too_old() -> None:
    told = refusal(pod({"env": "X=smtp.password"}), catalog=OLD_NODES)
    assert "needs kubelets of 1.35, but cluster eu-nl-prod-a has some of 1.34" in told


def test_a_variable_that_the_container_sets_itself_is_refused() -> None:
    """The last entry of a name wins: ours would be silently lost."""
    value = pod({"env": "X=smtp.password"}, containers=app(env=[{"name": "X", "value": "1"}]))
    assert 'got X, which container "app" sets itself' in refusal(value)


def test_settings_that_do_not_fit_one_variable_are_refused() -> None:
    value = pod(
        {"secrets": "all"}
        | {f"template.{name}": "{{ a }}" + "é" * 16000 for name in ("orders", "smtp", "stripe")}
    )
    assert reason(value) == "too-big"
    assert "expected at most 98304" in refusal(value)


def test_the_size_is_that_of_the_variable_as_it_stands_in_the_pod() -> None:
    """Each dollar sign is there twice."""
    texts = {f"template.{name}": "{{ a }}" + "$" * 20_000 for name in ("orders", "smtp", "stripe")}
    assert "got 12" in refusal(pod({"secrets": "all"} | texts))


# What a pod must not be, or carry


@pytest.mark.parametrize("field", ["shareProcessNamespace", "hostPID"])
def test_shared_processes_are_refused_unless_the_operator_allows_them(field: str) -> None:
    """Another container could read our token through /proc."""
    value = pod({"secrets": "stripe"}, **{field: True})
    assert f"spec.{field}: got true" in refusal(value)
    assert injected(value, settings=replace(SETTINGS, allow_shared_pid=True))


def test_a_certificate_for_an_address_is_refused_on_the_hosts_network() -> None:
    assert "the address is the node's" in refusal(pod({"certificates": "all"}, hostNetwork=True))
    assert injected(pod({"certificates": "serving"}, hostNetwork=True))


LEFTOVERS: list[tuple[dict[str, Any], str]] = [
    ({"initContainers": [{"name": "podkeys-init"}]}, "podkeys-init from initContainers"),
    ({"containers": [{"name": "podkeys-sidecar"}]}, "podkeys-sidecar from containers"),
    ({"ephemeralContainers": [{"name": "debugger"}]}, "ephemeralContainers (debugger)"),
    ({"ephemeralContainers": [{"name": "podkeys-init"}]}, "podkeys-init from ephemeralContainers"),
    *[({"volumes": [{"name": name}]}, f"the volume {name}") for name in ("podkeys", "podkeys-env", "podkeys-state", "podkeys-token")],
    *[
        ({"containers": app(volumeMounts=[{"name": "v", "mountPath": path}])}, f"the mount of v at {path} in container app")
        for path in (
            "/var/run/podkeys",
            "/var/run/podkeys/",
            "/var/run/podkeys/secrets",
            "//var//run/./podkeys",
            "/var/run/x/../podkeys",
            "/run/podkeys",
        )
    ],
    ({"containers": app(volumeMounts=[{"name": "podkeys-token", "mountPath": "/x"}])}, "the mount of podkeys-token at /x"),
    ({"initContainers": app(volumeMounts=[{"name": "podkeys-state", "mountPath": "/x"}])}, "the mount of podkeys-state"),
    (
        {"containers": app(env=[{"name": "X", "valueFrom": {"fileKeyRef": {"volumeName": "podkeys-env", "path": "a", "key": "b"}}}])},
        "the fileKeyRef to volume podkeys-env in container app",
    ),
    (
        {"volumes": [{"name": "mine", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "t"}}]}}]},
        "the service account token with audience vault in volume mine",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "said"), LEFTOVERS)
@pytest.mark.parametrize("inject", ["true", "false", None])
def test_what_only_the_webhook_may_add_is_always_refused(spec: Json, said: str, inject: str | None) -> None:
    """Invariant: a token with Vault's audience is mounted in our containers alone. Annotated or not."""
    value = pod({"secrets": "stripe"}, **spec)
    if inject is None:
        del value["metadata"]["annotations"]
    else:
        value["metadata"]["annotations"]["podkeys.dev/inject"] = inject
    assert reason(value) == "leftovers"
    assert said in refusal(value)


def test_the_status_annotation_is_refused() -> None:
    assert "remove the annotation podkeys.dev/status" in refusal(pod({"secrets": "stripe", "status": "x"}))


def test_an_injected_pod_is_refused_the_second_time() -> None:
    again = injected(pod({"secrets": "stripe", "identity": "true", "env": "X=smtp.password"}))
    told = refusal(again)
    for name in ("podkeys-init", "podkeys-sidecar", "podkeys-env", "podkeys-token", "podkeys.dev/status"):
        assert name in told


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"containers": {}}, "spec.containers: got an object, expected a list"),
        ({"containers": ["app"]}, 'spec.containers[0]: got "app", expected an object'),
        ({"containers": [{"name": 1}]}, "spec.containers[0].name: got 1 (a number), expected text"),
        ({"containers": app(env={})}, "spec.containers[0].env: got an object"),
        ({"containers": app(env=[{"name": "X", "valueFrom": 1}])}, "valueFrom: got 1 (a number)"),
        ({"containers": app(volumeMounts=[{"name": "v", "mountPath": []}])}, "mountPath: got a list"),
        ({"containers": app(securityContext={"runAsUser": True})}, "runAsUser: got true (not in quotes)"),
        ({"securityContext": {"runAsUser": 1e300}}, "spec.securityContext.runAsUser: got 1e+300"),
        ({"securityContext": {"supplementalGroups": ["1"]}}, "supplementalGroups: expected a list of whole"),
        ({"hostNetwork": "false"}, 'spec.hostNetwork: got "false", expected true or false'),
        ({"volumes": "x"}, 'spec.volumes: got "x", expected a list'),
        ({"volumes": [{"name": "v", "projected": {"sources": [None]}}]}, "sources[0]: got null"),
        ({"serviceAccountName": 7}, "spec.serviceAccountName: got 7"),
    ],
)
def test_a_pod_of_the_wrong_types_is_refused_as_malformed(spec: Json, said: str) -> None:
    value = pod({"secrets": "stripe"}, **spec)
    assert reason(value) == "malformed"
    assert said in refusal(value)


@pytest.mark.parametrize("broken", [{"spec": None}, {"spec": []}, {"metadata": None}, {"metadata": "x"}])
def test_a_pod_without_its_parts_is_refused_as_malformed(broken: Json) -> None:
    assert reason(pod() | broken) == "malformed"


def test_an_annotation_that_is_no_text_is_told_to_be_quoted() -> None:
    value = pod({"secrets": "stripe"})
    value["metadata"]["annotations"]["podkeys.dev/inject"] = True
    assert "got true (not in quotes), expected text: put the value in quotes" in refusal(value)


# What it gets


def test_our_containers_pass_the_restricted_pod_security_standard() -> None:
    value = injected(pod({"certificates": "serving"}))
    for name in ("podkeys-init", "podkeys-sidecar"):
        found = container(value, name)
        assert found["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            "runAsUser": 64000,
            "runAsGroup": 64000,
        }
        assert (
            found["resources"]["requests"].keys() == found["resources"]["limits"].keys() == {"cpu", "memory"}
        )
        assert found["command"] == [
            "/opt/podkeys/bin/python",
            "-I",
            "-m",
            "agent",
            name.removeprefix("podkeys-"),
        ]
        assert found["env"][1:] == [
            {"name": "PODKEYS_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "PODKEYS_POD_IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
        ]


def test_the_token_is_mounted_in_our_containers_alone() -> None:
    """Invariant: a token with Vault's audience is mounted in our containers alone."""
    value = injected(pod({"secrets": "all", "certificates": "all", "env": "X=smtp.password"}))
    for item in value["spec"]["containers"]:
        assert [mount["name"] for mount in item["volumeMounts"]] == ["podkeys"]
        assert all(mount["readOnly"] for mount in item["volumeMounts"])
    for name in ("podkeys-init", "podkeys-sidecar"):
        mounts = {mount["name"]: mount["mountPath"] for mount in container(value, name)["volumeMounts"]}
        assert mounts["podkeys-token"] == "/var/run/secrets/kubernetes.io/serviceaccount"


def test_all_volumes_but_the_token_are_in_memory_and_limited() -> None:
    value = injected(pod({"env": "X=smtp.password"}))
    *memory, token = value["spec"]["volumes"]
    assert [volume["name"] for volume in memory] == ["podkeys", "podkeys-env", "podkeys-state"]
    assert all(
        volume["emptyDir"]["medium"] == "Memory" and volume["emptyDir"]["sizeLimit"] for volume in memory
    )
    (source,) = token["projected"]["sources"]
    assert source["serviceAccountToken"] == {"audience": "vault", "expirationSeconds": 600, "path": "token"}


def test_without_env_there_is_no_volume_for_it() -> None:
    assert "podkeys-env" not in str(injected(pod({"secrets": "stripe"}))["spec"]["volumes"])


def test_both_containers_get_the_same_settings_and_the_agent_reads_them() -> None:
    value = injected(
        pod({"secrets": "all", "certificates": "all", "identity": "true", "env": "X=smtp.password"})
    )
    config = settings_of(value)
    assert config == settings_of(value, "podkeys-sidecar")
    assert config.sidecar is True
    assert [(item.folder, item.mount, item.files.chain) for item in config.certificates] == [
        ("certs/by-address", "pki-eu-nl-prod-a", "tls.crt"),
        ("certs/serving", "pki-eu-nl-prod-a", "tls.crt"),
        ("identity", "spiffe-eu-nl-prod-a", "svid.pem"),
    ]
    assert config.certificates[2].spiffe_id == "spiffe://eu-nl-prod-a.example.com/ns/payments/sa/payments-api"
    assert sorted(config.reads) == ["orders", "smtp", "stripe"]
    assert config.env == (agent.Variable("X", "smtp", "password"),)


def test_how_an_entry_becomes_a_file_follows_its_annotations() -> None:
    value = pod(
        {"secrets": "all", "file.orders": "db.env", "format.orders": "dotenv", "key.smtp": "password",
         "mode.smtp": "0400", "template.stripe": "key={{ key }}$"}
    )  # fmt: skip
    assert settings_of(injected(value)).files == (
        agent.File("secrets/db.env", "orders", "dotenv", "0440"),
        agent.File("secrets/smtp", "smtp", "raw", "0400", key="password"),
        agent.File("secrets/stripe", "stripe", "raw", "0440", template="key={{ key }}$"),
    )


def test_dollar_signs_in_the_settings_are_doubled() -> None:
    """The kubelet would expand $(NAME) with variables of the container."""
    value = injected(pod({"secrets": "stripe", "template.stripe": "$(HOME) $$ {{ key }}"}))
    assert "$$(HOME) $$$$ {{ key }}" in container(value, "podkeys-init")["env"][0]["value"]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"secrets": "stripe"}, False),
        ({"env": "X=smtp.password"}, False),
        ({"secrets": "orders"}, True),
        ({"certificates": "serving"}, True),
        ({"identity": "true"}, True),
        ({"secrets": "stripe", "sidecar": "true"}, True),
        ({"secrets": "orders", "sidecar": "false"}, False),
    ],
)
def test_the_sidecar_is_there_when_something_expires(annotations: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    value = injected(pod(annotations))
    assert names(value) == ["podkeys-init", *(["podkeys-sidecar"] if expected else [])]
    assert settings_of(value).sidecar is expected
    if expected:
        assert container(value, "podkeys-sidecar")["restartPolicy"] == "Always"


def test_what_expires_without_a_sidecar_is_warned_about_unless_the_pod_ends() -> None:
    value = pod({"secrets": "orders", "certificates": "all", "identity": "true", "sidecar": "false"})
    (warning,) = answer(review(value))["warnings"]
    assert warning == "podkeys.dev/sidecar is false: nothing renews database account orders and 3 more"
    value["spec"]["restartPolicy"] = "OnFailure"
    assert "warnings" not in answer(review(value))


def test_a_mode_that_the_application_cannot_read_is_warned_about() -> None:
    value = pod({"secrets": "stripe", "mode.stripe": "0400"})
    assert "only user 64000 can read 0400" in answer(review(value))["warnings"][0]
    value["spec"]["securityContext"] = {"runAsUser": 1000}
    assert "warnings" not in answer(review(value))


def test_a_pod_that_is_never_restarted_restarts_our_init_container_when_the_server_is_away() -> None:
    value = pod({"secrets": "stripe"}, restartPolicy="Never")
    found = container(injected(value), "podkeys-init")
    assert found["restartPolicy"] == "Never"
    assert found["restartPolicyRules"] == [
        {"action": "Restart", "exitCodes": {"operator": "In", "values": [14]}}
    ]
    assert "restartPolicyRules" not in container(injected(value, catalog=OLD_NODES), "podkeys-init")
    assert "restartPolicyRules" not in container(injected(pod({"secrets": "stripe"})), "podkeys-init")


# Where it goes


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([("app-init", None)], ["podkeys-init", "app-init"]),
        (
            [("istio-init", None), ("istio-proxy", "Always"), ("m", None)],
            ["istio-init", "istio-proxy", "podkeys-init", "m"],
        ),
        (
            [("linkerd-proxy", "Always"), ("istio-proxy", "Always")],
            ["linkerd-proxy", "istio-proxy", "podkeys-init"],
        ),
        ([("istio-proxy", None)], ["podkeys-init", "istio-proxy"]),
        ([("cache", "Always")], ["podkeys-init", "cache"]),
    ],
)
def test_ours_start_first_or_behind_the_proxies_that_must_be_up(
    before: list[tuple[str, str | None]], expected: list[str]
) -> None:
    items = [{"name": name, **({"restartPolicy": policy} if policy else {})} for name, policy in before]
    assert names(injected(pod({"secrets": "stripe"}, initContainers=items))) == expected


def test_mounts_go_to_all_application_containers_but_proxies() -> None:
    value = injected(
        pod(
            {"secrets": "stripe"},
            containers=[{"name": "istio-proxy"}, {"name": "app"}, {"name": "helper"}],
            initContainers=[{"name": "schema"}],
        )
    )
    mounted = [
        name
        for name in ("istio-proxy", "app", "helper", "schema")
        if "volumeMounts" in container(value, name)
    ]
    assert mounted == ["app", "helper"]


def test_mounts_go_to_the_named_containers_alone() -> None:
    value = injected(
        pod(
            {"secrets": "stripe", "env": "X=smtp.password", "containers": "schema,app"},
            containers=[{"name": "app"}, {"name": "helper"}],
            initContainers=[{"name": "other"}, {"name": "schema", "env": [{"name": "Y", "value": "$(X)"}]}],
        )
    )
    assert [name for name in ("app", "helper", "schema", "other") if "env" in container(value, name)] == [
        "app",
        "schema",
    ]
    assert [entry["name"] for entry in container(value, "schema")["env"]] == ["X", "Y"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("istio-proxy", "an init container that runs before podkeys-init"),
        ("early", "an init container that runs before podkeys-init"),
        ("podkeys-init", "which the pod does not have"),
    ],
)
def test_containers_that_cannot_have_mounts_are_refused(name: str, said: str) -> None:
    value = pod(
        {"secrets": "stripe", "containers": name},
        initContainers=[{"name": "early"}, {"name": "istio-proxy", "restartPolicy": "Always"}],
    )
    assert said in refusal(value)


def test_a_gateway_which_is_a_proxy_alone_must_name_it() -> None:
    value = pod({"secrets": "stripe"}, containers=[{"name": "istio-proxy"}])
    assert "expected a container that is no injected proxy; name the one" in refusal(value)
    value["metadata"]["annotations"]["podkeys.dev/containers"] = "istio-proxy"
    assert "volumeMounts" in container(injected(value), "istio-proxy")
    assert "got none" in refusal(pod({"secrets": "stripe"}, containers=None))


def test_variables_come_before_the_containers_own_in_the_order_of_names() -> None:
    value = injected(
        pod({"env": "B=smtp.b,A=smtp.a"}, containers=app(env=[{"name": "URL", "value": "$(A):$(B)"}]))
    )
    env = container(value, "app")["env"]
    assert [entry["name"] for entry in env] == ["A", "B", "URL"]
    assert env[0]["valueFrom"] == {
        "fileKeyRef": {"volumeName": "podkeys-env", "path": "variables", "key": "A", "optional": False}
    }


# As whom it runs


@pytest.mark.parametrize(
    ("pod_user", "users", "init_users", "expected"),
    [
        (1000, [None, None], [], 1000),
        (None, [1000, 1000], [1000], 1000),
        (1000, [None, 1000], [None], 1000),
        (1000, [None, 2000], [], 64000),
        (1000, [None], [0], 64000),
        (None, [1000, None], [], 64000),
        (None, [None], [], 64000),
        (0, [None], [], 64000),
        (0, [1000], [], 1000),
    ],
)
def test_ours_run_as_the_user_on_which_the_whole_pod_agrees(
    pod_user: int | None, users: list[int | None], init_users: list[int | None], expected: int
) -> None:
    def containers(prefix: str, given: list[int | None]) -> list[Json]:
        return [
            {"name": f"{prefix}{at}", "securityContext": {"runAsUser": user}} for at, user in enumerate(given)
        ]

    value = injected(
        pod(
            {"secrets": "stripe"},
            securityContext={"runAsUser": pod_user},
            containers=containers("app", users),
            initContainers=containers("init", init_users),
        )
    )
    security = container(value, "podkeys-init")["securityContext"]
    joined = value["spec"]["securityContext"].get("supplementalGroups")
    assert security["runAsUser"] == expected
    assert security.get("runAsGroup") == (64000 if expected == 64000 else None)
    assert joined == ([64000] if expected == 64000 else None)


@pytest.mark.parametrize(
    ("security", "groups"),
    [
        (None, [64000]),
        ({}, [64000]),
        ({"supplementalGroups": None}, [64000]),
        ({"supplementalGroups": []}, [64000]),
        ({"supplementalGroups": [5]}, [5, 64000]),
        ({"supplementalGroups": [64000]}, [64000]),
        ({"fsGroup": 2000}, None),
        ({"fsGroup": 0}, None),
        ({"fsGroup": None}, [64000]),
    ],
)
def test_the_pod_joins_the_group_of_the_files_unless_fsgroup_owns_them(
    security: Json | None, groups: list[int] | None
) -> None:
    value = injected(pod({"secrets": "stripe"}, securityContext=security))
    assert (value["spec"]["securityContext"] or {}).get("supplementalGroups") == groups


def test_on_openshift_users_and_groups_are_left_to_the_platform() -> None:
    value = injected(pod({"secrets": "stripe"}, securityContext={"runAsUser": 1000}), catalog=OPENSHIFT)
    security = container(value, "podkeys-init")["securityContext"]
    assert "runAsUser" not in security
    assert "runAsGroup" not in security
    assert value["spec"]["securityContext"] == {"runAsUser": 1000}
    assert security["runAsNonRoot"] is True


def test_the_status_annotation_says_what_was_decided_with() -> None:
    value = injected(pod({"secrets": "stripe"}))
    assert value["metadata"]["annotations"]["podkeys.dev/status"] == (
        f'{{"outcome":"injected","role":"payments","version":"1.2.3","catalog":"{CATALOG.digest}"}}'
    )


def test_an_empty_catalog_refuses_and_does_not_fail() -> None:
    empty = LoadedCatalog(CLUSTER, {}, "")
    assert "has no role in cluster eu-nl-prod-a" in refusal(pod({"secrets": "stripe"}), catalog=empty)
