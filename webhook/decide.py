"""The decision about one review: skip, deny with all that is wrong, or inject. Pure and total."""

import json

from agent import config as agent
from webhook import annotations, containers, guards, patch
from webhook.advice import advise
from webhook.annotations import PREFIX, InjectionRequest
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.outcome import Inject, Outcome, Problem, Skip, first, refuse
from webhook.placement import Placement, place
from webhook.pod import Pod
from webhook.review import AdmissionRequest
from webhook.selection import Selection, choose_role, select

NO_CATALOG = Problem(
    "no-catalog",
    "this webhook has no valid catalog yet, so no pod can be injected; the platform team finds the reason "
    "in its log (catalog-refused) and deploys the generated catalog; until then the pod is refused",
)


def decide(request: AdmissionRequest, catalog: LoadedCatalog | None, settings: OperatorSettings) -> Outcome:
    """Only the creation of a pod is decided; whatever else the API server is told to send passes untouched.

    Without a catalog no pod can be told from one that must be injected: it is refused.
    """
    if request.problem:
        return refuse([Problem("malformed", f"this pod can't be read: {request.problem}")])
    if request.pod is None:
        return Skip("not-a-pod-creation")
    if catalog is None:
        return refuse([NO_CATALOG])
    return _decide(request.pod, request.namespace, catalog, settings)


def _decide(pod: Pod, namespace: str, catalog: LoadedCatalog, settings: OperatorSettings) -> Outcome:
    found = guards.leftovers(pod, catalog.cluster)
    if found:
        return guards.refuse_leftovers(found)
    if not pod.annotations:
        return Skip("not-annotated")
    if not annotations.asks(pod.annotations):
        return Skip("opted-out")
    return _answer(pod, namespace, catalog=catalog, settings=settings)


def _answer(pod: Pod, namespace: str, *, catalog: LoadedCatalog, settings: OperatorSettings) -> Outcome:
    too_many = guards.too_many_containers(pod)
    if too_many:
        return refuse([too_many])
    wanted, problems = annotations.parse(pod.annotations)
    placement, misplaced = place(pod, wanted.containers, settings.proxies)
    problems += [*guards.unfit(pod, settings), *misplaced]
    chosen = choose_role(wanted, catalog, namespace, pod.service_account)
    if isinstance(chosen, Problem):
        return refuse([*problems, chosen])
    selection, wrong = select(wanted, *chosen, catalog.cluster)
    problems += [
        *wrong,
        *first(guards.unsuitable(pod, selection, placement)),
        *_idle_on_change(wanted, selection),
    ]
    if problems:
        return refuse(problems)
    return _inject(pod, wanted, selection, placement, catalog=catalog, settings=settings)


def _wants_sidecar(wanted: InjectionRequest, selection: Selection) -> bool:
    return bool(selection.expiring()) if wanted.sidecar == "auto" else wanted.sidecar == "true"


def _idle_on_change(wanted: InjectionRequest, selection: Selection) -> list[Problem]:
    if wanted.on_change is None or _wants_sidecar(wanted, selection):
        return []
    return [
        Problem(
            "annotation",
            f"{PREFIX}on-change: got http, but this pod has no sidecar that would notice a change; "
            f'set {PREFIX}sidecar: "true", or remove {PREFIX}on-change',
        )
    ]


def _inject(  # the plan is complete: from here on only its size can refuse
    pod: Pod,
    wanted: InjectionRequest,
    selection: Selection,
    placement: Placement,
    *,
    catalog: LoadedCatalog,
    settings: OperatorSettings,
) -> Outcome:
    cluster = catalog.cluster
    sidecar = _wants_sidecar(wanted, selection)
    config = containers.variable(
        containers.agent_config(selection, cluster, settings, wanted.on_change, sidecar=sidecar)
    )
    if len(config) > agent.MAX_BYTES:
        return refuse([_too_big(len(config))])
    users = containers.users(pod, cluster, settings)
    ours = containers.Agent(pod, settings, config, users, env=bool(selection.env))
    restart = pod.restart_policy == "Never" and cluster.min_kubelet >= containers.RESTART_RULES_SINCE
    added = [ours.init(restart=restart), *([ours.sidecar()] if sidecar else [])]
    variables = [item.variable for item, _ in selection.env]
    volumes = containers.volumes(cluster.audience, settings, env=bool(variables))
    operations = [
        *patch.groups(pod, users),
        *patch.append("/spec/volumes", pod.volumes, volumes),
        *(
            operation
            for target in placement.targets
            for operation in patch.application(target.path, target.container, variables)
        ),
        *patch.insert("/spec/initContainers", pod.init_containers, placement.position, added),
        *patch.status(_status(selection, settings, catalog.digest)),
    ]
    return Inject(
        tuple(operations), selection.role.name, tuple(advise(pod, selection, users, sidecar=sidecar))
    )


def _status(selection: Selection, settings: OperatorSettings, digest: str) -> str:
    status = {
        "outcome": "injected",
        "role": selection.role.name,
        "version": settings.version,
        "catalog": digest,
    }
    return json.dumps(status, separators=(",", ":"))


def _too_big(size: int) -> Problem:
    return Problem(
        "too-big",
        f"the agent's settings: got {size} bytes, expected at most {agent.MAX_BYTES}; name fewer entries in "
        f"{PREFIX}secrets and {PREFIX}certificates, or shorten {PREFIX}template.<name>",
    )
