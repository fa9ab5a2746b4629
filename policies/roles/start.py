"""The role file that a service's owner starts from: it passes generation as it stands."""

from policies.roles import texts

_TEXT = """\
# What this service may have, and where. Every field: docs/role-file.md
apiVersion: podkeys.dev/v1
kind: ServiceRole
metadata:
  name: {name}           # pods name it in the annotation podkeys.dev/role
  owner: {owner}
spec:
  # The only workloads that may use the role.
  runsAs:
  - cluster: {cluster}
    namespace: {namespace}
    serviceAccounts: [{name}]

  # Secrets that people keep: the path is what `vault kv get` takes.
  secrets:
  - name: settings
    path: kv/{name}/settings
    # env: true                        # also as environment variables (they show in the node's runtime state)

  # Accounts that the server makes for this pod and ends with it.
  # databases:
  # - name: orders
  #   path: database/creds/{name}-orders

  # SSL: the key is made in the pod and never leaves it.
  certificates:
  - name: serving
    services: [{name}]                 # Kubernetes Services in front of the pods
    ttl: 1h                            # renewed at about half of it
    usages: [server]                   # and client, for mutual TLS

  # Who the pod is, to others: an X.509-SVID for its service account.
  # identity: {{ttl: 1h}}
"""


def role_file(name: str, namespace: str, cluster: str, owner: str) -> str:
    """Raises ValueError, which names the argument, where a file with it would be refused."""
    given = (
        ("NAME", name, texts.own_name),
        ("--namespace", namespace, texts.namespace),
        ("--cluster", cluster, texts.own_name),
        ("--owner", owner, texts.owner),
    )
    for argument, value, check in given:
        expected = check(value)
        if expected:
            raise ValueError(f"{argument}: got {value!r}, expected {expected}")
    return _TEXT.format(name=name, namespace=namespace, cluster=cluster, owner=owner)
