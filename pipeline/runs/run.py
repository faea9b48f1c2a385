"""One owner of an audit: what was fixed before the first inference, the work on its shards, and its end.

``Run.create`` checks, hashes and locks; ``Run.open`` needs nothing but the folder. A shard can be worked by any process
that sees the folder. Model, worker processes and log belong to the run and end with its block.
"""

import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from cam import METHODS
from pipeline.checks.estimate import RunEstimate, estimate_run
from pipeline.checks.model_check import Probe, check_model
from pipeline.config import AuditConfig, resolved
from pipeline.config_file import LoadedConfig
from pipeline.conclusions.conclude import Shown, chosen_cases, conclude
from pipeline.conclusions.per_study_csv import CSV_FILE, per_study_csv
from pipeline.errors import ConfigError, OutputError
from pipeline.evidence.localisation import METRICS
from pipeline.faults import FAULTS, own_faults
from pipeline.files import written
from pipeline.findings.carried import Carried
from pipeline.findings.ledger import Ledger, read_ledger
from pipeline.findings.lock import compare, read_lock
from pipeline.findings.record import Lock, MethodFacts, Provenance, Results, StudyAudit
from pipeline.findings.recipes import Recipes
from pipeline.findings.recorded_files import check_file, record_files, recorded_files
from pipeline.findings.shards import write_maps, write_shard
from pipeline.findings.site_key import SiteKey, load_site_key
from pipeline.findings.spec import (
    COHORT_FILE,
    SPEC_FILE,
    MapRecipe,
    Member,
    ModelIdentity,
    Program,
    RunSpec,
    read_members,
    read_spec,
    write_members,
)
from pipeline.program import camaudit_version, library_versions, program_digest, program_revision
from pipeline.progress import Progress, silent
from pipeline.runs.equivalent_maps import equivalent_maps
from pipeline.runs.pictures import INPUT_PICTURE, cut_pictures
from pipeline.runs.private_sources import SOURCES_FILE, PrivateSources, read_sources, write_sources
from pipeline.runs.repeatability import repeatability
from pipeline.runs.reuse import (
    REUSED,
    EarlierRuns,
    carried_answers,
    carry_over,
    earlier_answers,
    earlier_runs,
    referring,
    run_answers,
)
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.auditor import Auditor, open_auditor, open_scorer
from pipeline.walk.map_plan import in_order, missing_maps, recipes_of
from pipeline.walk.sources import StudySource, find_sources
from pipeline.walk.study_walk import audit_studies

__all__ = ["Run", "RunStatus"]
