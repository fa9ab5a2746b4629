{{/* Names are fixed: a cluster has one Podkeys, and a second release fails on them. */}}
{{- define "podkeys.labels" -}}
{{ include "podkeys.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "podkeys.selector" -}}
app.kubernetes.io/name: podkeys
app.kubernetes.io/component: webhook
{{- end }}

{{- define "podkeys.image" -}}
{{ required "image: got nothing, expected the image of Podkeys, best with its digest: --set image=registry.example.com/podkeys:0.1.0@sha256:…" .Values.image }}
{{- end }}

{{- define "podkeys.host" -}}
podkeys-webhook.{{ .Release.Namespace }}.svc
{{- end }}

{{/* One for each owner, so that neither Helm nor cert-manager meets what the other made when the certificate moves. */}}
{{- define "podkeys.servingSecret" -}}
{{ eq .Values.certificate.from "cert-manager" | ternary "podkeys-webhook-cert-manager" "podkeys-webhook-tls" }}
{{- end }}

{{/* Restricted, and with a root file system that can't be written; no fixed user, so that OpenShift may choose one. */}}
{{- define "podkeys.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Without these two, Podkeys could not heal itself, nor the cluster itself. */}}
{{- define "podkeys.otherNamespaces" -}}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {{ .Release.Namespace | quote }}]}
{{- end }}
