{{/* Parts of CEL expressions. The names are those that the webhook adds; each is compared with the program's by a test. */}}
{{- define "podkeys.containers" -}}
['podkeys-init', 'podkeys-sidecar']
{{- end }}

{{- define "podkeys.volumes" -}}
['podkeys', 'podkeys-env', 'podkeys-state', 'podkeys-token']
{{- end }}

{{/* Any letter case: Kubernetes takes Podkeys.dev/inject too, and who wrote it means us. */}}
{{- define "podkeys.isOurs" -}}
key.lowerAscii().startsWith('podkeys.dev/')
{{- end }}

{{/* Whether these annotations, given as an expression, ask for injection: all of ours but the exact opposite do. As annotations.asks of the program. */}}
{{- define "podkeys.asks" -}}
{{ . }}.exists(key, {{ include "podkeys.isOurs" . }}) && !('podkeys.dev/inject' in {{ . }} && {{ . }}['podkeys.dev/inject'] == 'false')
{{- end }}

{{- define "podkeys.isMisspelt" -}}
key.lowerAscii().matches('^pods?-?keys?([.][a-z]+)?/') && !({{ include "podkeys.isOurs" . }})
{{- end }}

{{- define "podkeys.labelled" -}}
has(namespaceObject.metadata.labels) && 'podkeys.dev/injection' in namespaceObject.metadata.labels
&& namespaceObject.metadata.labels['podkeys.dev/injection'] == 'enabled'
{{- end }}

{{/* The repositories of the agent's image, as a list in CEL. Not the image itself: while an upgrade rolls out, pods come with the old one. */}}
{{- define "podkeys.repositories" -}}
{{- $image := .Values.agent.image | default (include "podkeys.image" .) }}
{{- $own := regexReplaceAll "(:[^/:@]+)?(@.+)?$" $image "" }}
{{- prepend .Values.backstop.repositories $own | uniq | toJson }}
{{- end }}
