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

{{/*
The tenants, one for each namespace, as JSON: those that are given by a label are looked up in the cluster.
*/}}
{{- define "firstaid.tenants" -}}
{{- $tenants := list -}}
{{- range $tenant := .Values.tenants -}}
{{- if $tenant.namespacesWithLabel -}}
{{- $wanted := splitn "=" 2 $tenant.namespacesWithLabel -}}
{{- range (lookup "v1" "Namespace" "" "").items -}}
{{- if and (eq .status.phase "Active") (eq (get (.metadata.labels | default dict) $wanted._0) $wanted._1) -}}
{{- $tenants = append $tenants (merge (dict "namespace" .metadata.name) (omit $tenant "namespacesWithLabel")) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $tenants = append $tenants $tenant -}}
{{- end -}}
{{- end -}}
{{- toJson $tenants -}}
{{- end -}}

{{/* "true" if evidence is removed after its time: only where something else keeps it, and longer than a pod lives. */}}
{{- define "firstaid.removes" -}}
{{- if (.Values.retention).days -}}
{{- if not .Values.archive -}}
{{- fail "retention.days removes what the archive holds, and there is no archive: name a volume (archive), or leave retention.days out, and evidence stays for ever" -}}
{{- end -}}
{{- range $volume := list "emptyDir" "ephemeral" -}}
{{- if hasKey $.Values.archive $volume -}}
{{- fail (printf "retention.days removes what the archive holds, and an archive on %s goes with its pod: name a volume that stays" $volume) -}}
{{- end -}}
{{- end -}}
true
{{- end -}}
{{- end -}}

{{/* The operator as the subject of a binding. */}}
{{- define "firstaid.subject" -}}
kind: ServiceAccount
name: {{ .Values.serviceAccount.name }}
namespace: {{ .Release.Namespace }}
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

{{/*
The text of a file of policies/ with its placeholders filled in, as src/guard/shipped.rs does it too: the operator compares
what is installed with what it was built with, so the two must make the same of it.
*/}}
{{- define "firstaid.policies" -}}
{{- $root := .root -}}
{{- $operator := printf "system:serviceaccount:%s:%s" $root.Release.Namespace $root.Values.serviceAccount.name -}}
{{- $text := $root.Files.Get (printf "policies/%s.yaml" .file)
  | replace "__LABELS__" (include "firstaid.labels" $root | fromYaml | toJson)
  | replace "__PERSON__" $root.Values.identity.personKey
  | replace "__OPERATOR__" $operator
  | replace "__OPERATOR_NAMESPACE__" $root.Release.Namespace
  | replace "__OPERATOR_ACCOUNT__" $root.Values.serviceAccount.name
  | replace "__OPERATOR_CREDENTIAL__" (toString $root.Values.operator.requireCredential)
  | replace "__BALLOT_CREDENTIAL__" (toString $root.Values.ballots.requireCredential) -}}
{{- with regexFind "__[A-Z_]+__" $text }}{{ fail (printf "policies/%s.yaml has a placeholder that nobody fills in: %s" $.file .) }}{{ end -}}
{{ $text }}
{{- end -}}

{{/* The names of all policies of policies/ of a kind, those of the version before too: {names: [...]}. */}}
{{- define "firstaid.policyNames" -}}
{{- $kind := .kind -}}
{{- $names := list -}}
{{- range $path, $text := .root.Files.Glob "policies/**.yaml" -}}
{{- range splitList "\n---\n" (toString $text) -}}
{{- $object := fromYaml . -}}
{{- if eq (toString $object.kind) $kind }}{{ $names = append $names $object.metadata.name }}{{ end -}}
{{- end -}}
{{- end -}}
{{ dict "names" ($names | uniq | sortAlpha) | toJson }}
{{- end -}}
