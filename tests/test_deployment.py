"""What `deploy/`, the Dockerfile and compose say, fits the code: settings, routes, metrics, commands."""

import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app import __version__
from app.cli import cli
from app.config import Settings
from app.observability import metrics

from . import ROOT
from .api.test_metrics_documented import METRIC, told_names

DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text())
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text()))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (ROOT / "deploy" / "subscription-service.service").read_text()


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [each for each in MANIFESTS if each["kind"] == kind]
    return found


def test_compose_passes_every_setting() -> None:
    passed = set(COMPOSE["services"]["app"]["environment"])
    assert passed == {name.upper() for name in Settings.model_fields}


def test_what_compose_asks_for_is_in_the_example_of_an_env_file() -> None:
    example = (ROOT / ".env.example").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "compose.yaml").read_text()))
    assert len(asked) > 2
    assert [name for name in asked if f"\n{name}=" not in example] == []


def test_an_env_file_that_compose_reads_may_hold_the_variables_of_other_services() -> None:
    Settings(
        _env_file=None,
        stripe_webhook_secret="whsec_test_secret_endpoint",
        internal_api_key="test-key-of-the-internal-api-0001",
        POSTGRES_PASSWORD="x",
    )


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: str(each["kind"]))
def test_every_manifest_is_what_kubernetes_accepts(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_pods_are_probed_at_routes_that_exist_and_do_not_run_as_root() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    probed = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert probed == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    user = str(pod["securityContext"]["runAsUser"])
    assert f"\nUSER {user}\n" in DOCKERFILE


def test_manifests_name_this_version_and_commands_that_exist() -> None:
    commands = {
        command.name or getattr(command.callback, "__name__", "") for command in cli.registered_commands
    }
    for kind in ("Job", "Deployment"):
        for container in manifest(kind)["spec"]["template"]["spec"]["containers"]:
            assert container["image"].endswith(f":{__version__}")
            assert container["command"][:3] == ["python", "-m", "app"]
            assert container["command"][3] in commands
    assert set(re.findall(r"bin/subscription-service (\w+)", UNIT)) <= commands


def test_the_image_is_built_in_two_stages_and_checks_its_health() -> None:
    _, build, final = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    assert "pip" in build
    assert "pip" not in final
    assert "HEALTHCHECK" in final and "/healthz" in final


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


async def test_the_dashboard_asks_for_metrics_that_exist_and_shows_nearly_all(sqlite_database: str) -> None:
    names = await told_names(sqlite_database)
    used = {name for query in queries() for name in METRIC.findall(query)}
    assert used <= names
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert families - shown <= {
        "billing_events_total",
        "billing_limit_cache_age_seconds_total",
        "billing_limit_cache_outdated_total",
        "billing_spool_bytes",
    }


def test_the_dashboard_groups_and_filters_by_labels_that_the_metrics_have() -> None:
    labels = {name: set(names) for name, (_, names) in metrics.GAUGES.items()}
    for metric in vars(metrics).values():
        if hasattr(metric, "_labelnames"):
            (family,) = metric.describe()
            labels[family.name] = set(metric._labelnames)
    for query in queries():
        (name, *_) = (re.sub(r"_(total|bucket|sum|count)$", "", each) for each in METRIC.findall(query))
        grouped = {each.strip() for part in re.findall(r"by \(([^)]*)\)", query) for each in part.split(",")}
        filtered = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", query))
        assert grouped - {"le", "instance"} <= labels[name], query
        assert filtered <= labels[name], query


def test_panels_have_titles_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
