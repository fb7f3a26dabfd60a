{{/* What every container may do: nothing. */}}
{{- define "lucarne.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Small: they copy or fetch, and the memory is the page cache's. */}}
{{- define "lucarne.initResources" -}}
requests: {cpu: 100m, memory: 64Mi}
limits: {cpu: "1", memory: 256Mi}
{{- end -}}

{{- define "lucarne.initContainers" -}}
{{- $m := .Values.models -}}
{{- if eq $m.source "copy" }}
initContainers:
  - name: models
    image: {{ required "models.copy.image: which image holds the models?" $m.copy.image }}
    imagePullPolicy: {{ $m.copy.pullPolicy }}
    command: [cp, -R, {{ printf "%s/." $m.copy.path | quote }}, /volume/models]
    resources: {{- include "lucarne.initResources" . | nindent 6 }}
    securityContext: {{- include "lucarne.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: models, mountPath: /volume}
{{- else if eq $m.source "fetch" }}
initContainers:
  - name: models
    image: {{ $m.fetch.image }}
    imagePullPolicy: {{ $m.fetch.pullPolicy }}
    command: [sh, /etc/lucarne/settings/fetch-models, /etc/lucarne/settings/models.txt, /volume]
    env:
      - {name: RETRIES, value: {{ $m.fetch.retries | quote }}}
      {{- with $m.fetch.s3Region }}
      - {name: S3_REGION, value: {{ . | quote }}}
      {{- end }}
      {{- if $m.fetch.netrcSecretName }}
      - {name: NETRC, value: /etc/lucarne/netrc/.netrc}
      {{- end }}
    {{- with $m.fetch.secretName }}
    envFrom:
      - secretRef: {name: {{ . }}}
    {{- end }}
    resources: {{- include "lucarne.initResources" . | nindent 6 }}
    securityContext: {{- include "lucarne.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: settings, mountPath: /etc/lucarne/settings, readOnly: true}
      - {name: models, mountPath: /volume}
      {{- if $m.fetch.netrcSecretName }}
      - {name: netrc, mountPath: /etc/lucarne/netrc, readOnly: true}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "lucarne.volumes" -}}
{{- $v := .Values -}}
- name: settings
  configMap: {name: {{ include "lucarne.fullname" . }}}
- name: cache
  emptyDir: {sizeLimit: {{ $v.scratch.cacheSizeLimit }}}
- name: tmp
  emptyDir: {sizeLimit: {{ $v.scratch.tmpSizeLimit }}}
{{- if eq $v.models.source "imageVolume" }}
- name: models
  image:
    reference: {{ required "models.imageVolume.reference: which image holds the models?" $v.models.imageVolume.reference }}
    pullPolicy: {{ $v.models.imageVolume.pullPolicy }}
{{- else if eq $v.models.source "claim" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ required "models.claim.name: which claim holds the models?" $v.models.claim.name }}
    readOnly: true
{{- else if ne $v.models.source "image" }}
- name: models
  emptyDir: {sizeLimit: {{ $v.models.sizeLimit }}}
{{- end }}
{{- if and (eq $v.models.source "fetch") $v.models.fetch.netrcSecretName }}
- name: netrc
  secret: {secretName: {{ $v.models.fetch.netrcSecretName }}, defaultMode: 0440}
{{- end }}
{{- with $v.tls.secretName }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with $v.tls.clientAuthoritiesSecretName }}
- name: clients
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with $v.keys.secretName }}
- name: keys
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}
