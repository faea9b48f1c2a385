"""What ``deploy/`` holds, looked at without Docker, a cluster or a network."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import RawConfigParser
from pathlib import Path

import pytest
import typer.main
import yaml

from flows.cli import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
VALUES = yaml.safe_load((DEPLOY / "helm/values.yaml").read_text(encoding="utf-8"))["worker"]
SYSTEMD = DEPLOY / "systemd"


def test_each_recipe_is_there():
    names = {str(path.relative_to(DEPLOY)) for path in FILES}
    units = {"systemd/camaudit@.service", "systemd/camaudit@.timer"}
    assert names == {"Dockerfile", "compose.yaml", "helm/values.yaml"} | units


# Commands


def faults_of(words):
    """Return what the command line of ``camaudit`` does not know of the words behind its name."""
    commands = typer.main.get_command(app).commands
    if words[0].startswith("--"):
        return [] if words[0] in {"--help", "--version", "--debug"} else words[:1]
    if words[0] not in commands:
        return words[:1]
    options = {option for parameter in commands[words[0]].params for option in parameter.opts}
    return [word for word in words[1:] if word.startswith("-") and word not in options]


def command_lines():
    """Yield every command line of camaudit: of services, of units, of comments."""
    for path in FILES:
        for line in path.read_text(encoding="utf-8").splitlines():
            as_list = re.fullmatch(r"\s*(?:command|test): \[(?:CMD, )?camaudit, (.*)\]", line)
            as_json = re.fullmatch(r'CMD \["camaudit", (.*)\]', line)
            as_text = re.search(r"(?:bin/| )camaudit ((?:--)?[a-z]+ .*)$", line)
            if as_list or as_json:
                yield yaml.safe_load(f"[{(as_list or as_json)[1]}]")
            elif as_text and ("Exec" in line or "compose" in line):
                yield shlex.split(as_text[1])


def test_every_command_line_is_one_that_camaudit_knows():
    lines = list(command_lines())
    assert {words[0] for words in lines} == {"--help", "--version", "check", "run", "schedule", "status"}
    assert [words for words in lines if faults_of(words)] == []


def test_a_command_line_with_a_slip_is_seen():
    assert faults_of(["run", "audit.yaml", "--if-knew"]) == ["--if-knew"]
    assert faults_of(["rnu", "audit.yaml"]) == ["rnu"]
    assert faults_of(["--versoin"]) == ["--versoin"]


# What holds for every file


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_and_no_host_stands_in_a_recipe(path):
    text = path.read_text(encoding="utf-8")
    for name, value in re.findall(
        r"^\s*(?:- )?([A-Z_]*(?:PASSWORD|AUTHORIZATION|TOKEN|SECRET|USERS)): (.+)$", text, re.M
    ):
        assert "${" in value, name
    hosts = set(re.findall(r"https?://([^/:\s'\"]+)", text))
    inside = {*SERVICES, "127.0.0.1", "github.com", "prefect-server.camaudit.svc"}
    assert hosts <= inside
    assert re.findall(r"(?<![\w.])/(?:home|root|work|Users)/", text) == []


# Compose


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_reached_from_this_machine_alone(name):
    service = SERVICES[name]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", []))
    assert "network_mode" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_whether_it_is_well_and_comes_back(name):
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_needs(name):
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "user"} & set(service)
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))
    if service["image"].startswith("camaudit:"):
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    else:
        assert re.fullmatch(r"[a-z]+(?:/[a-z]+)?:\d[\w.-]*", service["image"]), "a version, and no registry's name"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_is_there(name):
    service = SERVICES[name]
    named = {volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith("${")}
    assert named <= set(COMPOSE["volumes"])
    for other, how in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert how == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", ["nightly", "worker", "worker-gpu"])
def test_whoever_works_a_run_shares_its_folder_its_key_and_its_archive(name):
    volumes = SERVICES[name]["volumes"]
    assert {"runs:/runs", "state:/state"} <= set(volumes)
    assert [volume.rsplit(":", 2)[1:] for volume in volumes if volume.startswith("${ARCHIVE")] == [["/archive", "ro"]]
    assert SERVICES[name]["environment"]["PREFECT_API_URL"] == "http://server:4200/api"


def test_the_pools_are_those_of_the_deployments():
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    pools = {deployment["work_pool"]["name"] for deployment in deployments}
    command = SERVICES["worker"]["command"]
    assert command[command.index("--pool") + 1] in pools
    assert VALUES["config"]["workPool"] in pools


def test_docker_compose_reads_the_file(tmp_path):
    program = ["docker", "compose"]
    if (
        shutil.which("docker") is None
        or subprocess.run([*program, "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker compose is not installed")
    given = dict.fromkeys(("DATABASE_PASSWORD", "ORTHANC_PASSWORD", "ARCHIVE", "AUDITS"), str(tmp_path))
    command = [*program, "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# The image


def instructions():
    """Return the instructions of the Dockerfile, each in one line."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.M)
    return [line.split(maxsplit=1) for line in text.replace("\\\n", "").splitlines() if line.strip()]


def of_kind(kind):
    return [value for name, value in instructions() if name == kind]


def test_the_image_installs_torch_first_and_then_what_the_makefile_installs():
    installs = [line for line in of_kind("RUN") if "pip install" in line]
    torch, package = (line.split("-c constraints.txt ")[1].strip().strip("'") for line in installs)
    made = (ROOT / "Makefile").read_text(encoding="utf-8").split("\n.venv/installed:")[1].split("\n\n")[0]
    assert (torch, f"-e '{package}'" in made) == ("torch", True)
    assert package == ".[all]"
    assert all("--no-cache-dir" in line and "--mount=type=secret,id=pip" in line for line in installs)


def test_the_image_runs_as_nobody_in_particular():
    assert [line.split(":")[0] for line in of_kind("USER")] == ["10001"]
    names = [name for name, _ in instructions()]
    assert not {"ADD", "MAINTAINER", "ENTRYPOINT", "EXPOSE"} & set(names)
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("RUN", "COPY"))
    assert all(value.startswith("/") for value in of_kind("WORKDIR"))
    assert of_kind("FROM") == ["python:${PYTHON} AS build", "python:${PYTHON}-slim"], "what is run has no compiler"
    assert not re.search(r"sudo|curl|wget|apt", " ".join(of_kind("RUN")))


def test_the_images_python_is_one_that_the_package_supports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = next(value.split("=")[1] for value in of_kind("ARG") if value.startswith("PYTHON="))
    least, below = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()
    assert int(least) <= int(version.split(".")[1]) < int(below)


def test_the_image_is_refused_where_torch_is_built_for_something_else():
    import torch

    (line,) = (line for line in of_kind("RUN") if "torch.version" in line)
    built, other = ("cuda", "cpu") if torch.version.cuda else ("cpu", "cuda")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for device, code in ((built, 0), (other, 1)):
        environment = os.environ | {"DEVICE": device, "PATH": path}
        done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, code), done.stderr


def test_what_is_sent_to_the_builder_is_what_is_installed():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.split(".")[0] for name in setup["tool"]["setuptools"]["packages"]}
    texts = {setup["project"]["readme"], *setup["project"]["license-files"]}
    assert "*" in lines
    assert sent == packages | texts | {"pyproject.toml", "constraints.txt"}


# Kubernetes


TEMPLATE = json.loads(VALUES["config"]["baseJobTemplate"]["configuration"])
JOB = TEMPLATE["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
(CONTAINER,) = JOB["containers"]


def test_every_placeholder_of_the_job_is_a_variable():
    placeholders = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(TEMPLATE["job_configuration"])))
    assert placeholders == set(TEMPLATE["variables"]["properties"])


def test_the_variables_that_the_deployment_sets_are_the_jobs():
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    (pod,) = (
        deployment for deployment in deployments if deployment["work_pool"]["name"] == VALUES["config"]["workPool"]
    )
    assert set(pod["work_pool"]["job_variables"]) <= set(TEMPLATE["variables"]["properties"])


def test_the_job_has_a_gpu_and_no_rights():
    resources = CONTAINER["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == 1
    assert JOB["securityContext"]["runAsNonRoot"] is True
    assert str(JOB["securityContext"]["runAsUser"]) == of_kind("USER")[0].split(":")[0]
    assert CONTAINER["securityContext"]["allowPrivilegeEscalation"] is False
    assert CONTAINER["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert JOB["automountServiceAccountToken"] is False


def test_the_job_sees_what_a_run_shares_at_the_compose_files_paths():
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in JOB["volumes"]}
    shared = {volume.rsplit(":", 2)[1] if volume.endswith(":ro") else volume.split(":")[1]
              for volume in SERVICES["worker"]["volumes"]}  # fmt: skip
    assert shared <= set(mounts.values())
    assert next(mount for mount in CONTAINER["volumeMounts"] if mount["name"] == "archive")["readOnly"] is True


# systemd


def unit(name):
    parser = RawConfigParser(strict=False, comment_prefixes=("#",), delimiters=("=",))
    parser.optionxform = str
    parser.read_string((SYSTEMD / name).read_text(encoding="utf-8"))
    return parser


def test_the_unit_tries_again_and_not_after_a_mistake_of_the_input():
    service = unit("camaudit@.service")["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"
    assert shlex.split(service["ExecStart"])[3] == "--if-new"
    assert service["Environment"].split()[0].startswith("CAMAUDIT_STATE=/")


HARDENING = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "IPAddressDeny": "any",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
}


def test_the_unit_is_hardened():
    service = unit("camaudit@.service")["Service"]
    assert {name: service[name] for name in HARDENING} == HARDENING
    assert "MemoryDenyWriteExecute" not in service, "torch compiles"


def test_the_timer_fires_once_for_what_was_missed():
    timer = unit("camaudit@.timer")
    assert (timer["Timer"]["Persistent"], timer["Install"]["WantedBy"]) == ("yes", "timers.target")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("slip", ["", "Resart=always\n"])
def test_systemd_knows_the_units(tmp_path, slip):
    for path in SYSTEMD.iterdir():
        text = path.read_text(encoding="utf-8").replace("/opt/camaudit/bin/camaudit", sys.executable)
        (tmp_path / path.name.replace("@", "@night")).write_text(text.replace("[Service]\n", f"[Service]\n{slip}"))
    units = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    own = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "camaudit@" in line]
    assert [("Resart" in line) for line in own] == [True] * bool(slip), own


# Prefect


def test_every_variable_of_prefects_is_a_setting():
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    named = {name for path in FILES for name in re.findall(r"PREFECT_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert len(named) >= 10
    assert named - set(_get_settings_fields(Settings)) == set()
