{{- define "qdrant-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "qdrant-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains (include "qdrant-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "qdrant-operator.name" .) | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "qdrant-operator.selector" -}}
app.kubernetes.io/name: {{ include "qdrant-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "qdrant-operator.labels" -}}
{{ include "qdrant-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "qdrant-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "qdrant-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "qdrant-operator.image" -}}
{{- $tag := printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- if .Values.image.digest }}{{ $tag }}@{{ .Values.image.digest }}{{ else }}{{ $tag }}{{ end }}
{{- end }}

{{- define "qdrant-operator.lease" -}}
{{- default (include "qdrant-operator.fullname" .) .Values.leaderElection.leaseName }}
{{- end }}

{{- /* Permissions in the watched namespaces. The operator's qdrant_operator/api/rbac.py has the same rules, with the reason
       for each; a test compares the two. */}}
{{- define "qdrant-operator.rules" -}}
- apiGroups: [qdrantoperator.dev]
  resources: [qdrantclusters, qdrantcollections, qdrantsnapshots, qdrantsnapshotschedules]
  verbs: [get, list, watch]
- apiGroups: [qdrantoperator.dev]
  resources: [qdrantclusters/status, qdrantcollections/status, qdrantsnapshots/status, qdrantsnapshotschedules/status]
  verbs: [patch]
- apiGroups: [qdrantoperator.dev]
  resources: [qdrantcollections, qdrantsnapshots]
  verbs: [patch]
- apiGroups: [qdrantoperator.dev]
  resources: [qdrantsnapshots]
  verbs: [create, delete]
- apiGroups: [qdrantoperator.dev]
  resources:
    [qdrantclusters/finalizers, qdrantcollections/finalizers, qdrantsnapshots/finalizers,
     qdrantsnapshotschedules/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, secrets, serviceaccounts, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, list, patch]
{{- end }}

{{- define "qdrant-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "qdrant-operator.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* CEL: may the author of the object read the Secret with this name? */}}
{{- define "qdrant-operator.mayReadSecret" -}}
authorizer.group('').resource('secrets').namespace(object.metadata.namespace).name({{ . }}).check('get').allowed()
{{- end }}

{{- /* Match conditions: the author is not the operator, and the spec is new or changed. */}}
{{- define "qdrant-operator.newSpec" -}}
- name: not-by-the-operator
  expression: "request.userInfo.username != '{{ . }}'"
- name: spec-is-new
  expression: "oldObject == null || object.spec != oldObject.spec"
{{- end }}
