{{- define "firstaid.selector" -}}
app.kubernetes.io/name: firstaid
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "firstaid.labels" -}}
{{ include "firstaid.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "firstaid.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The operator as the subject of a binding. */}}
{{- define "firstaid.subject" -}}
kind: ServiceAccount
name: {{ .Values.serviceAccount.name }}
namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* CEL: whether the request is the operator's own. An impersonated one carries no credential id. */}}
{{- define "firstaid.isOperator" -}}
request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ .Values.serviceAccount.name }}'
{{- if .Values.operator.requireCredential }} && has(request.userInfo.extra) && 'authentication.kubernetes.io/credential-id' in request.userInfo.extra
{{- end }}
{{- end -}}

{{/* CEL: who somebody is. Whatever compares people compares this. */}}
{{- define "firstaid.person" -}}
{{ .Values.identity.personKey }}
{{- end -}}

{{/* CEL: id of the credential of the request; empty for impersonation and for static tokens. */}}
{{- define "firstaid.credential" -}}
has(request.userInfo.extra) && 'authentication.kubernetes.io/credential-id' in request.userInfo.extra ? request.userInfo.extra['authentication.kubernetes.io/credential-id'][0] : ''
{{- end -}}

{{/* "true" if the API server is to fill in names. Ask what is served, not the version: an emulated version serves less. */}}
{{- define "firstaid.stamps" -}}
{{- $stamping := toString .Values.stamping -}}
{{- if has $stamping (list "on" "true") -}}
true
{{- else if and (eq $stamping "auto") (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
true
{{- end -}}
{{- end -}}

{{/* A binding without selectors: an objectSelector, or labels that a tenant may edit, would be a way round. */}}
{{- define "firstaid.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "firstaid.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny, Audit]
{{- end -}}
