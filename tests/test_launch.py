"""The files of launch/ fit the schemas of what reads them, as far as a tool here knows these."""

import copy
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[1] / "launch"
# Keys of a JobSet, jobset.x-k8s.io/v1alpha2, as far as one may want them; its Jobs are Kubernetes' own.
SPEC = {"network", "successPolicy", "failurePolicy", "startupPolicy", "suspend", "coordinator", "replicatedJobs"}
REPLICATED = {"name", "replicas", "template", "groupName", "dependsOn"}


def jobs():
    """The Jobs of the JobSet."""
    found = yaml.safe_load((LAUNCH / "jobset.yaml").read_text())
    assert (found["apiVersion"], found["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert set(found["spec"]) <= SPEC and found["spec"]["failurePolicy"].keys() <= {"maxRestarts", "restartStrategy"}
    for one in found["spec"]["replicatedJobs"]:
        assert set(one) <= REPLICATED
        yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": one["name"]}, **one["template"]}


def test_jobs_fit_the_schema_of_kubernetes():
    schemas = pytest.importorskip("kubernetes_validate")
    for job in jobs():
        schemas.validate(job, schemas.latest_version(), strict=True)
        wrong = copy.deepcopy(job)
        wrong["spec"]["completionmode"] = wrong["spec"].pop("completionMode")
        with pytest.raises(schemas.ValidationError, match="completionmode"):
            schemas.validate(wrong, schemas.latest_version(), strict=True)


def test_scripts_pass_shellcheck():
    if not (program := shutil.which("shellcheck")):
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    files = sorted(LAUNCH.glob("*.sh"))
    assert len(files) >= 3
    found = subprocess.run([program, *files], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
