"""`podkeys webhook inject`: the webhook's decision about manifests, without a cluster."""

import base64
from pathlib import Path
from typing import Any, TextIO

import click
import jsonpatch
import orjson

from policies.catalog_files import CatalogError
from policies.unified import unified
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.decide import decide
from webhook.manifests import Manifest, ManifestError, dump, read
from webhook.options import catalog_options, offline_settings_options, operator_settings
from webhook.review import API_VERSION, KIND, parse, respond
from webhook.store import load

UID = "00000000-0000-0000-0000-000000000000"


def review(manifest: Manifest) -> bytes:
    """What the API server would send for the creation of this pod."""
    request = {
        "uid": UID,
        "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": manifest.namespace,
        "object": manifest.pod,
    }
    try:
        return orjson.dumps({"apiVersion": API_VERSION, "kind": KIND, "request": request})
    except (TypeError, ValueError) as error:  # a key that is no text, a lone surrogate, a number too large
        raise ManifestError(
            f"{manifest.origin}: got what JSON can't hold ({error}), expected a Kubernetes manifest"
        ) from None


def answer(manifest: Manifest, catalog: LoadedCatalog, settings: OperatorSettings) -> dict[str, Any]:
    """The response, by the same bytes in and out as over the network."""
    request = parse(review(manifest))
    body = respond(request.uid, decide(request, catalog, settings))
    response: dict[str, Any] = orjson.loads(body)["response"]
    return response


def mutated(pod: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """The pod with the response's patch applied; the pod itself where there is none."""
    if "patch" not in response:
        return pod
    applied: dict[str, Any] = jsonpatch.apply_patch(pod, orjson.loads(base64.b64decode(response["patch"])))
    return applied


def shown(manifest: Manifest, response: dict[str, Any], *, diff: bool) -> str:
    after = dump(mutated(manifest.pod, response))
    if not diff:
        return after
    lines = unified(
        dump(manifest.pod).splitlines(keepends=True),
        after.splitlines(keepends=True),
        (f"{manifest.origin} as created", f"{manifest.origin} as admitted"),
    )
    return "".join(lines)


@click.command()
@click.option(
    "-f",
    "--filename",
    "source",
    type=click.File(encoding="utf-8"),
    required=True,
    help="Manifests; - reads them from standard input.",
)
@click.option("-n", "--namespace", help="Instead of the namespace in the manifest.")
@click.option("--diff", is_flag=True, help="Print a unified diff instead of the pod.")
@catalog_options
@offline_settings_options
@click.pass_context
def inject(
    ctx: click.Context,
    /,
    *,
    source: TextIO,
    namespace: str | None,
    diff: bool,
    catalog: Path,
    cluster: Path,
    **flags: Any,  # noqa: ANN401 - click hands out values of many types
) -> None:
    """Print each pod as the webhook would leave it, or why it would be refused (exit code 1).

    Deployments and other workloads stand for the pod that they would create; it is for reading, not for
    applying: the webhook refuses what is injected already. Of several documents each pod is shown in turn, and
    those without a pod are passed over.

    \b
    Examples:
      podkeys webhook inject -f pod.yaml --diff --catalog generated/eu-nl-prod-a/catalog --cluster generated/eu-nl-prod-a/cluster.json
      helm template . | podkeys webhook inject -f - -n payments --catalog generated/eu-nl-prod-a/catalog \\
        --cluster generated/eu-nl-prod-a/cluster.json

    Exit codes: 0 all would be created, 1 one would be refused, or something can't be read, 64 usage.
    """  # noqa: D301 - click reads the character
    settings = operator_settings(**flags)
    try:
        manifests = read(source.read(), namespace)
        loaded = load(catalog, cluster)
        answers = [(manifest, answer(manifest, loaded, settings)) for manifest in manifests]
    except (ManifestError, CatalogError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from None
    if not manifests:
        raise click.ClickException(
            "got no pod, expected a Pod, Deployment, StatefulSet, DaemonSet, Job or CronJob"
        )
    ctx.exit(1 if _print(answers, diff=diff) else 0)


def _print(answers: list[tuple[Manifest, dict[str, Any]]], *, diff: bool) -> int:
    """The pods on standard output; notes, warnings and refusals on standard error; how many were refused."""
    refused = printed = 0
    for manifest, response in answers:
        for note in manifest.notes:
            click.echo(f"{manifest.origin}: note: {note}", err=True)
        for warning in response.get("warnings", ()):
            click.echo(f"{manifest.origin}: warning: {warning}", err=True)
        if not response["allowed"]:
            refused += 1
            click.echo(f"{manifest.origin}: refused: {response['status']['message']}", err=True)
            continue
        click.echo("---\n" if printed and not diff else "", nl=False)
        click.echo(shown(manifest, response, diff=diff), nl=False)
        printed += 1
    return refused
