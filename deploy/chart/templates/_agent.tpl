{{/*
`certificate.from: vault`: our own agent beside the webhook, with the containers and volumes that an injected pod has. Nobody injects
this pod, as the namespace of the webhook is excluded; and each path is the one that `podkeys policies generate` computes from the
ServiceRole in docs/install.md.
*/}}
{{- define "podkeys.agentRole" -}}
podkeys.{{ .Release.Namespace }}.podkeys-webhook
{{- end }}

{{/* The server signs the names of the role's service all together or not at all: these, in this order. */}}
{{- define "podkeys.agentConfig" -}}
{{- $vault := .Values.certificate.vault }}
{{- $role := include "podkeys.agentRole" . }}
{{- $names := list (printf "podkeys-webhook.%s" .Release.Namespace) (include "podkeys.host" .) }}
{{- range $vault.dnsDomains }}
{{- $names = append $names (printf "podkeys-webhook.%s.%s" $.Release.Namespace .) }}
{{- end }}
{{- $certificate := dict "folder" "certs/serving" "mode" "0440" "key" "ec-p256" "usages" (list "server")
  "mount" $vault.pkiMount "sign" (printf "%s/sign/%s" $vault.pkiMount ($vault.pkiRole | default (printf "%s.serving" $role)))
  "ttlSeconds" ($vault.ttlSeconds | int64) "dnsNames" $names "podIP" false "spiffeID" "" "revoke" false
  "files" (dict "chain" "tls.crt" "key" "tls.key" "ca" "ca.crt" "combined" "") }}
{{- dict "version" 1 "sidecar" true
  "deadlineSeconds" (index .Values.flags "deadline" | default 60 | int64)
  "pollSeconds" (index .Values.flags "poll-interval" | default 300 | int64)
  "vault" (dict "address" $vault.address "namespace" $vault.namespace "caPEM" $vault.caPEM)
  "login" (dict "mount" $vault.authMount "role" ($vault.authRole | default (printf "%s.podkeys-webhook" $role))
    "tokenFile" "/var/run/secrets/kubernetes.io/serviceaccount/token")
  "folders" (dict "files" "/var/run/podkeys/files" "env" "/run/podkeys-env" "state" "/run/podkeys-state" "terminationLog" "/dev/termination-log")
  "reads" dict "files" list "env" list "certificates" (list $certificate) | toRawJson }}
{{- end }}

{{- define "podkeys.agentContainer" -}}
image: {{ include "podkeys.image" . | quote }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
env:
# the kubelet expands $(NAME), and reads $$ as one $
- {name: PODKEYS_CONFIG, value: {{ include "podkeys.agentConfig" . | replace "$" "$$" | quote }}}
- {name: PODKEYS_POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
- {name: PODKEYS_POD_IPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}
securityContext: {{- include "podkeys.containerSecurity" . | nindent 2 }}
terminationMessagePath: /dev/termination-log
terminationMessagePolicy: File
volumeMounts:
- {name: podkeys, mountPath: /var/run/podkeys}
- {name: podkeys-state, mountPath: /run/podkeys-state}
- {name: podkeys-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}

{{- define "podkeys.agentContainers" -}}
- name: podkeys-init
  command: [/opt/podkeys/bin/python, -I, -m, agent, init]
  resources:
    requests: {cpu: 100m, memory: 64Mi}
    limits: {cpu: "1", memory: 64Mi}
  {{- include "podkeys.agentContainer" . | nindent 2 }}
- name: podkeys-sidecar
  command: [/opt/podkeys/bin/python, -I, -m, agent, sidecar]
  restartPolicy: Always
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {cpu: 500m, memory: 64Mi}
  {{- include "podkeys.agentContainer" . | nindent 2 }}
{{- end }}

{{- define "podkeys.agentVolumes" -}}
- name: podkeys
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: podkeys-state
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: podkeys-token
  projected:
    sources:
    - serviceAccountToken: {audience: {{ .Values.audience | quote }}, expirationSeconds: 600, path: token}
{{- end }}
