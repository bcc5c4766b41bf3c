"""Lints or renders a chart by Helm's own code, and checks what comes out against Kubernetes' schemas.

    render.py lint CHART
    render.py render CHART '{"values": {...}, "name": "shop", "namespace": "prod"}'

Prints one JSON document: the findings; or {"manifests": [...], "notes": "..."}; or {"refused": "why"}.
"""

import json
import sys

import helm_python
import kubernetes_validate
import yaml

# The oldest Kubernetes that Chart.yaml allows, and the newest one with schemas.
VERSIONS = ["1.27", kubernetes_validate.latest_version()]

# Kinds that come with the Prometheus operator; Kubernetes has no schema for them.
FOREIGN = "monitoring.coreos.com/v1"


def lint(chart):
    return helm_python.lint(chart, strict=True)["messages"]


def render(chart, order):
    order = json.loads(order)
    try:
        with helm_python.Chart.load(chart) as loaded:
            rendered = loaded.render(order["values"], name=order["name"], namespace=order["namespace"])
    except (helm_python.HelmValuesError, helm_python.HelmRenderError) as error:
        return {"refused": str(error)}
    notes = [text for path, text in rendered.items() if path.endswith("NOTES.txt")]
    files = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    manifests = [manifest for text in files for manifest in yaml.safe_load_all(text) if manifest]
    for manifest in manifests:
        check(manifest)
    return {"manifests": manifests, "notes": "".join(notes)}


def check(manifest):
    if manifest["apiVersion"] == FOREIGN:
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            sys.exit(f"{manifest['kind']} is not valid for Kubernetes {version}: {place}: {error.message}")


command, *arguments = sys.argv[1:]
print(json.dumps({"lint": lint, "render": render}[command](*arguments)))
