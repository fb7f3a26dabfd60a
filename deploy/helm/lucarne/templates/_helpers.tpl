{{- define "lucarne.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "lucarne.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "lucarne.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "lucarne.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lucarne.selector" -}}
app.kubernetes.io/name: {{ include "lucarne.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lucarne.labels" -}}
{{ include "lucarne.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Of the pod of helm test, which is none that the Service or the budget selects. */}}
{{- define "lucarne.testLabels" -}}
app.kubernetes.io/component: test
app.kubernetes.io/part-of: {{ include "lucarne.fullname" . }}
{{- end -}}

{{- define "lucarne.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "lucarne.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lucarne.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Numbers of YAML are floats to Helm, and 100000 would become 1e+05. */}}
{{- define "lucarne.toml" -}}
{{- if kindIs "string" . }}{{ toJson . }}
{{- else if kindIs "slice" . }}[{{ range $i, $item := . }}{{ if $i }}, {{ end }}{{ include "lucarne.toml" $item }}{{ end }}]
{{- else if kindIs "float64" . }}{{ int64 . }}
{{- else }}{{ . }}
{{- end }}
{{- end -}}

{{/* The path of the models in the server's container. */}}
{{- define "lucarne.models" -}}
{{- $source := .Values.models.source -}}
{{- if eq $source "image" -}}/models
{{- else if eq $source "imageVolume" -}}
{{- with .Values.models.imageVolume.subPath -}}/volume/{{ . }}{{- else -}}/volume{{- end -}}
{{- else if eq $source "claim" -}}/volume
{{- else -}}/volume/models
{{- end -}}
{{- end -}}

{{- define "lucarne.grace" -}}
{{- $drain := int64 (dig "drain_timeout_s" 30 .Values.config) -}}
{{- $least := add $drain .Values.preStopSeconds 1 -}}
{{- $asked := int64 .Values.terminationGracePeriodSeconds -}}
{{- if not $asked -}}{{ add $least 4 }}
{{- else if lt $asked $least -}}
{{- fail (printf "terminationGracePeriodSeconds: found %d; preStopSeconds and drain_timeout_s need %d at least, or requests under way are killed" $asked $least) -}}
{{- else -}}{{ $asked }}{{- end -}}
{{- end -}}

{{/* The port by its name that probes ask. The operations' one is in the clear, and asks for no certificate. */}}
{{- define "lucarne.probe" -}}
port: {{ ternary "operations" "http" .Values.operations.enabled }}
{{- if and .Values.tls.secretName (not .Values.operations.enabled) }}
scheme: HTTPS
{{- end }}
{{- end -}}

{{/* What belongs together although a schema sees one value at a time. */}}
{{- define "lucarne.refuse" -}}
{{- $v := .Values -}}
{{- if and (eq $v.probes.liveness.path "/readyz") (eq (dig "model_control" "none" $v.config) "explicit") }}
{{- fail "probes.liveness.path: /readyz would restart a server whose clients unloaded every model (config.model_control is explicit)" }}
{{- end }}
{{- if and $v.tls.clientAuthoritiesSecretName (not $v.tls.secretName) }}
{{- fail "tls.clientAuthoritiesSecretName: it needs tls.secretName" }}
{{- end }}
{{- if and $v.tls.clientAuthoritiesSecretName (not $v.operations.enabled) }}
{{- fail "tls.clientAuthoritiesSecretName: it needs operations.enabled, since probes show no certificate" }}
{{- end }}
{{- if gt (int64 $v.autoscaling.minReplicas) (int64 $v.autoscaling.maxReplicas) }}
{{- fail "autoscaling: minReplicas is greater than maxReplicas" }}
{{- end }}
{{- if and $v.serviceMonitor.enabled $v.keys.secretName (not $v.serviceMonitor.keySecretName) }}
{{- fail "serviceMonitor.keySecretName: with keys, Prometheus needs one of the scope metrics" }}
{{- end }}
{{- if and $v.serviceMonitor.enabled (not $v.operations.enabled) }}
{{- fail "serviceMonitor: it needs operations.enabled" }}
{{- end }}
{{- if and $v.networkPolicy.enabled (eq $v.models.source "fetch") (not $v.networkPolicy.egress) }}
{{- fail "networkPolicy.egress: models.source is fetch, so name servers and the host of the models must be reached" }}
{{- end }}
{{- end -}}
