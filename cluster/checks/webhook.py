"""Whether the API server reaches the webhook, trusts it, and holds the same catalog. Pure."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping

from cluster.facts import NAMESPACE, UPGRADE, WEBHOOK, Attempt, Registration, Replica
from cluster.finding import Fact, Finding, Unread, count, failed, listed, ok
from cluster.generated import Tree
from policies.catalog import digest

ATTEMPT = "podkeys.dev/cluster-check"  # no annotation of ours, so the webhook refuses it by name
ENDS_SOON = (
    7 * 86400.0
)  # seconds, or a quarter of a shorter life, such as of one by Vault; as the alert has it
_LOGS = f"kubectl logs -n {NAMESPACE} -l app.kubernetes.io/component=webhook --prefix --tail=-1"  # of all replicas
_REMEDIES = (
    ("x509", "the webhook serves a certificate that caBundle does not verify: see serving-certificate below"),
    ("tls:", "the webhook serves a certificate that caBundle does not verify: see serving-certificate below"),
    (
        "no endpoints",
        f"no replica is ready: kubectl describe pods -n {NAMESPACE} says what they wait for, or their log: {_LOGS}",
    ),
    ("not found", f"the Service is gone: {UPGRADE} puts it back"),
    (
        "no service port",
        f"the Service has another port than the configuration names: {UPGRADE} puts it back",
    ),
    ("refused", "no replica listens: kubectl get pods -n podkeys-system"),
    (
        "deadline",
        "the API server does not get through: network policies, firewall rules to port 8443 of the nodes",
    ),
    (
        "timeout",
        "the API server does not get through: network policies, firewall rules to port 8443 of the nodes",
    ),
)


def webhook_registered(found: Fact[Registration | None]) -> Finding:
    name = "webhook-registered"
    if isinstance(found, Unread):
        return found.finding(name)
    wanted = f"a MutatingWebhookConfiguration podkeys with {WEBHOOK} by a Service, failurePolicy Fail and a caBundle"
    remedy = (
        "helm upgrade --install podkeys (docs/install.md); with cert-manager, see that its CA injector runs"
    )
    if found is None:
        return failed(name, got="none", expected=wanted, remedy=remedy)
    if found.failure_policy != "Fail":
        got = f"failurePolicy {found.failure_policy}, with which pods run without what they ask for"
        return failed(name, got=got, expected=wanted, remedy=remedy)
    if not found.ca_pem:
        return failed(name, got="no caBundle, or none that is PEM", expected=wanted, remedy=remedy)
    return ok(name, f"{WEBHOOK} at {found.host}, fails closed")


def webhook_called(attempt: Fact[Attempt]) -> Finding:
    """By a pod that is only tried out: the webhook must refuse its annotation by name."""
    name = "webhook-called"
    if isinstance(attempt, Unread):
        return attempt.finding(name)
    answer, where = attempt.answer, attempt.namespace
    if f'"{WEBHOOK}" denied the request' in answer:
        return _denied(name, answer, where)
    expected = f"a pod tried out in {where} to be refused by {WEBHOOK}"
    if f'failed calling webhook "{WEBHOOK}"' in answer:
        remedy = next((text for sign, text in _REMEDIES if sign in answer), "look at the API server's log")
        return failed(name, got=answer, expected=expected, remedy=remedy)
    if f"ValidatingAdmissionPolicy '{WEBHOOK}'" in answer:
        return failed(
            name,
            got="the backstop refused it, so the webhook was not called",
            expected=expected,
            remedy=f"{UPGRADE} puts the MutatingWebhookConfiguration back; see webhook-registered",
        )
    if not answer:
        return failed(
            name,
            got="it would have been created: neither webhook nor backstop saw it",
            expected=expected,
            remedy="install the chart (docs/install.md)",
        )
    return Unread(
        f"something else refused the pod that was tried out in {where}: {answer}",
        "let pods with requests of 1m and 1Mi be tried out there, or remove what refuses them",
    ).finding(name)


def _denied(name: str, answer: str, where: str) -> Finding:
    if ATTEMPT in answer:
        return ok(name, f"a pod tried out in {where} was refused by {WEBHOOK}, as it must be")
    return failed(
        name,
        got=answer,
        expected=f"a refusal that names {ATTEMPT}",
        remedy="the webhook answers and can't decide: " + _LOGS,
    )


def serving_certificate(replicas: Fact[tuple[Replica, ...]], now: float) -> Finding:
    """Each replica is spoken to, and its certificate verified with `caBundle`, as the API server does."""
    name = "serving-certificate"
    if isinstance(replicas, Unread):
        return replicas.finding(name)
    expected = "each running replica to serve a certificate that caBundle verifies, for a week or a quarter of its life to come"
    if not replicas:
        remedy = "kubectl describe pods -n podkeys-system says what keeps them from running"
        return failed(name, got="no running pod of the webhook", expected=expected, remedy=remedy)
    wrong = [f"{item.pod}: {item.problem}" for item in replicas if item.problem]
    if wrong:
        remedy = (
            f"after a renewal wait two minutes; else {UPGRADE} --set certificate.renewAfterDays=0, or look at "
            "cert-manager's Certificate"
        )
        return failed(name, got="; ".join(wrong), expected=expected, remedy=remedy)
    day = dt.datetime.fromtimestamp(min(item.ends for item in replicas), dt.UTC).strftime(
        "%Y-%m-%d %H:%M UTC"
    )
    if any(item.ends - now < min(ENDS_SOON, item.life / 4) for item in replicas):
        return failed(
            name,
            got=f"ends {day}",
            expected=expected,
            remedy=f"renew it: {UPGRADE} --set certificate.renewAfterDays=0, or see why cert-manager does not, or with Vault the "
            "log of container podkeys-sidecar",
        )
    return ok(name, f"{count(len(replicas), 'replica')}, verified by caBundle, until {day}")


def catalog_current(tree: Tree, maps: Fact[Mapping[str, Mapping[str, str]]]) -> Finding:
    """By file, not by ConfigMap: it is the files, all in one folder, that the webhook reads."""
    name = "catalog-current"
    if isinstance(maps, Unread):
        return maps.finding(name)
    found = {file: digest(text.encode()) for files in maps.values() for file, text in files.items()}
    problems = list(_twice(maps))
    problems += [f"no {file}" for file in sorted(tree.files.keys() - found.keys())]
    problems += [f"{file} is left over" for file in sorted(found.keys() - tree.files.keys())]
    same = tree.files.keys() & found.keys()
    problems += [f"{file} differs" for file in sorted(same) if found[file] != tree.files[file]]
    if not problems:
        return ok(name, f"{count(len(found), 'file')}, as generated")
    where = f"-n {NAMESPACE} -f generated/{tree.cluster.name}/catalog.configmap.yaml"
    return failed(
        name,
        got=listed(problems),
        expected="the files of the generated tree, all of them and no others",
        remedy=f"kubectl apply --server-side {where}; what was changed by hand stays, so before it: kubectl delete {where}",
    )


def _twice(maps: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """All stand in one folder, and of two with one name only one can."""
    counts = Counter(file for files in maps.values() for file in files)
    for file in sorted(file for file, number in counts.items() if number > 1):
        yield f"{file} is in {' and '.join(sorted(name for name, files in maps.items() if file in files))}"
