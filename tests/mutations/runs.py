"""What could let a run take, keep or score what it must not: hashes, recipes, locks and looks that are not asked."""

from tests.mutants import Mutant, of

__all__ = ["MUTANTS"]

RUN, REUSE = "tests/pipeline/runs/test_run.py", "tests/pipeline/runs/test_reuse.py"
LOCK = "tests/pipeline/runs/test_locking.py"
GROWING = "tests/pipeline/runs/test_growing_cohort.py"
LOCKING = (
    f"{LOCK}::test_a_run_that_was_locked_first_is_not_exploratory_and_names_register_and_key",
    f"{LOCK}::test_what_changes_after_the_lock_is_named[the model's weights]",
    f"{LOCK}::test_studies_that_are_removed_added_or_altered_are_counted_and_named",
    f"{LOCK}::test_an_earlier_look_makes_a_later_lock_exploratory_whatever_the_run_was_called[masks]",
    f"{LOCK}::test_a_lock_that_the_register_does_not_know_proves_nothing",
    f"{LOCK}::test_an_amendment_is_possible_and_told",
    f"{LOCK}::test_an_amendment_does_not_hide_a_look_before_the_first_lock",
    f"{RUN}::test_an_open_cohort_may_grow_a_closed_one_may_not",
)

MUTANTS: list[Mutant] = [
    *of(
        "pipeline/findings/custody/chain.py",
        ("if entry.previous != tail.hash:", "if False:"),
        ("if tail.time is not None and entry.time <= tail.time:", "if False:"),
        (
            "if tail.time is not None and entry.time <= tail.time:",
            "if tail.time is not None and entry.time < tail.time:",
        ),
        ("if not verify_signature(public, _statement(entry.hash), entry.signature):", "if False:"),
        ("if entry.key != fingerprint_of(public) or (", "if False and ("),
        ("if entry_line(entry) == line and _digest(facts) == entry.hash:", "if entry_line(entry) == line:"),
        ("if entry_line(entry) == line and _digest(facts) == entry.hash:", "if _digest(facts) == entry.hash:"),
        (
            "public = tail.public or _first_key(path, entry)",
            "public = _first_key(path, entry) if not number else str(tail.public)",
        ),
        ("max(now, tail.time + _TICK)", "now"),
        ("if entry.sequence != number:", "if False:"),
        tests=("tests/pipeline/findings/custody/test_ledger.py", "-k", "not flipped and not processes"),
    ),
    *of(
        "pipeline/findings/custody/ledger.py",
        ("if content[:seen] != self._last_line:", "if False:"),
        ("        os.ftruncate(descriptor, offset)\n", ""),
        ("    if not lines:", "    if False:"),
        ("ChainEnd(public=public)))", "ChainEnd()))"),
        tests=("tests/pipeline/findings/custody/test_ledger.py", "-k", "not flipped and not processes"),
    ),
    *of(
        "pipeline/findings/custody/register.py",
        ('entry.body["weights"] == weights and entry.time < before', "entry.time < before"),
        ('entry.body["weights"] == weights and entry.time < before', 'entry.body["weights"] == weights'),
        ("and entry.time < before", "and entry.time <= before"),
        ('if entry.event == "look" and', 'if entry.event == "lock" and'),
        ("return (True, listed) if isinstance", "return (False, listed) if isinstance"),
        ("(not wanted.isdisjoint(listed), None)", "(wanted <= listed, None)"),
        ("self.entries[:before]", "self.entries"),
        ("if known is None or known.lock != lock or not", "if known is None or not"),
        ("    known.follow(register.entries)\n", ""),
        ("0 < length <= self.length and self.entries[length - 1].hash == head", "0 < length <= self.length"),
        ("if length > len(entries) or entries[length - 1].hash != digest:", "if False:"),
        ("    if not sound:", "    if False:"),
        ("    if entries[0].event != _OPENED:", "    if False:"),
        ("    if (folder / _HEAD).exists() or (folder / LISTS).exists():", "    if (folder / _HEAD).exists():"),
        ('"look", **body)\n        _write_head(folder, key, entry)\n', '"look", **body)\n'),
        ("if bool(facts.amended_from) != bool(reason.strip()) or", "if False or"),
        tests=("tests/pipeline/findings/custody/test_register.py", "-k", "not processes"),
    ),
    *of(
        "pipeline/findings/custody/study_lists.py",
        ("if hashlib.sha256(content).hexdigest() != digest:", "if False:"),
        tests=("tests/pipeline/findings/custody/test_register.py", "-k", "not processes"),
    ),
    *of(
        "pipeline/findings/custody/seen_studies.py",
        ('== ("look", self.lock)', '[:1] == ("look",)'),
        ('self.lost.append(look["run"])', "pass"),
        ('self._first.setdefault(line[:_IMAGE], look["run"])', 'self._first[line[:_IMAGE]] = look["run"]'),
        ('if "contents" in look:', "if True:"),
        ('if "contents" in look:', "if False:"),
        ("sum(image not in images", "sum(image in images"),
        ("if line[_IMAGE + 1 :] not in contents", "if True"),
        ("for image in others if image in images", "for image in others"),
        ('if line.encode("ascii") not in self._lines', "if line"),
        tests=("tests/pipeline/findings/custody/test_register.py", "-k", "not processes"),
    ),
    *of(
        "pipeline/findings/shards.py",
        ("if sha256 != map_digest(values):", "if False:"),
        ('if row["map_recipe"] != columns["map_recipe"]:', "if False:"),
        ('if row["score_recipe"] != columns["score_recipe"] and', "if False and"),
        ('if row["study_recipe"] == recipes.study)', "if True)"),
        ('rows[0]["masks_recipe"] == recipes.masks', "True"),
        ('            columns["score_recipe"] = None', "            pass"),
        ("if file.schema_arrow.names != _SCHEMA.names:", "if False:"),
        tests=("tests/pipeline/findings/test_shards.py",),
    ),
    *of(
        "pipeline/findings/stored_audits.py",
        ("raise self._never_audited()", "break"),
        ("if name != REUSED or self.members.is_carried(audit.study):", "if True:"),
        ("waiting.pop(member.study)", "waiting[member.study]"),
        ("iter_shard(self.folder / name, frozenset(names))", "iter_shard(self.folder / name)"),
        tests=("tests/pipeline/findings/test_stored_audits.py",),
    ),
    *of(
        "pipeline/conclusions/gathered.py",
        ("if not tunes:", "if True:"),
        ("            self._not_analysed.append(audit)", "            pass"),
        ("        if tunes:\n", "        if True:\n"),
        ("min(low, length), max(high, length)", "length, length"),
        ("if reused < len(maps):", "if True:"),
        tests=(
            "tests/pipeline/conclusions/test_gathered.py",
            "tests/pipeline/conclusions/test_conclude.py",
            "-k",
            "not run",
        ),
    ),
    *of(
        "pipeline/findings/recipes.py",
        ('entry.get("layer") or "")', '"")'),
        ('"score_recipe": self.scores.get(place)', '"score_recipe": self.maps.get(place)'),
        tests=("tests/pipeline/findings/test_shards.py",),
    ),
    *of(
        "pipeline/runs/locking.py",
        ("if then[name] != now[name]]", "if False]"),
        ('([] if lock.open_cohort else added, "added to")', '(added, "added to")'),
        ("if lock.studies.get(study, sha256) != sha256]", "if False]"),
        ("removed = [study for study in lock.studies if study not in subject.studies]", "removed: list[str] = []"),
        ('"model": "the model\'s weights",\n', ""),
        ("    if not times:", "    if False:"),
        ("reasons += _by_the_register(lock, subject, key, known, since)", "pass"),
        (
            "looks = register.looks(subject.fixed.model, subject.images,",
            "looks = register.looks(subject.fixed.model, (),",
        ),
        ("datetime.fromisoformat(lock.first_locked_at))\n", "datetime.fromisoformat(str(lock.locked_at)))\n"),
        ("enter_look(key, facts, subject.images, had", "enter_look(key, facts, (), had"),
        ("first = previous.first_locked_at if previous else now", "first = now"),
        ("tuple(look.run for look in seen if look.time >= since)", "()"),
        tests=LOCKING,
    ),
    *of(
        "pipeline/runs/locking.py",
        (
            "altered = since.altered | (_had_otherwise(seen, subject) if seen is not None else frozenset())",
            "altered = since.altered",
        ),
        (
            "if since.mark is not None and not register.holds(since.mark.length, since.mark.head):",
            "if False:",
        ),
        ("subject.had if lock.open_cohort else None", "None"),
        ("*_since_a_run(NOTHING_CHANGED, subject, under_it)]", "]"),
        ("study_content(source.sha256, source.study)", "study_content(source.sha256, source.sha256)"),
        tests=(GROWING,),
    ),
    *of(
        "pipeline/verify/register.py",
        ("if altered := len(seen.altered(images, contents)):", "if False:"),
        ('register.seen(look.body["lock"], look.sequence)', 'register.seen(look.body["lock"])'),
        tests=(GROWING,),
    ),
    *of(
        "pipeline/runs/start.py",
        (
            "mark = enter_run(spec.run, spec.lock, start.subject, start.key, start.under_lock)",
            "mark = spec.lock.register_mark",
        ),
        tests=LOCKING[:1],
    ),
    *of(
        "pipeline/findings/custody/recorded_files.py",
        ("if digest_of_file(folder / name) != recorded[name]:", "if False:"),
        tests=(f"{RUN}::test_a_damaged_or_foreign_earlier_run_is_passed_over",),
    ),
    *of(
        "pipeline/runs/reuse.py",
        ('return trust.holds(keeper, f"maps/{path.name}")', "return True"),
        tests=(f"{RUN}::test_a_damaged_or_foreign_earlier_run_is_passed_over",),
    ),
    *of(
        "pipeline/runs/reuse.py",
        ("sources[study] != carried.audit.source_sha256", "False"),
        tests=(f"{RUN}::test_a_changed_mask_or_label_is_a_new_study",),
    ),
    *of(
        "pipeline/runs/reuse.py",
        ("            if not trust.holds(run, shard):\n                continue\n", ""),
        tests=("tests/test_falsify.py::test_a_falsification_is_detected_and_named[a forged shard, then a plain run]",),
    ),
    *of(
        "pipeline/runs/reuse.py",
        ('return entry.model_copy(update={"map": f"../{run}/{entry.map}"})', "return entry"),
        tests=(f"{RUN}::test_only_what_is_new_is_computed_again",),
    ),
    *of(
        "pipeline/runs/reuse.py",
        ("_shards(run, own=made in untold)", "_shards(run, own=False)"),
        ("_shards(run, own=made in untold)", "_shards(run, own=True)"),
        ("trust.members(run) if trust.holds_if_told(run, REUSED) else None", "trust.members(run)"),
        ("untold[made] = wanted - answered", "untold[made] = set()"),
        tests=(REUSE, "-k", "older or comes_back"),
    ),
    *of(
        "pipeline/runs/reuse.py",
        ("if audit.study in whole] if path.name", "] if path.name"),
        tests=(f"{REUSE}::test_a_study_that_is_only_carried_in_part_is_not_taken_for_whole",),
    ),
    *of(
        "pipeline/runs/start.py",
        ("foundation = [model.sha256, model.code_sha256,", "foundation = [model.code_sha256,"),
        tests=(f"{RUN}::test_other_weights_under_the_same_code_compute_anew",),
    ),
    *of(
        "pipeline/runs/start.py",
        ("return carried.holds and not missing_maps(carried.audit, config, layers)", "return carried.holds"),
        (
            "return carried.holds and not missing_maps(carried.audit, config, layers)",
            "return not missing_maps(carried.audit, config, layers)",
        ),
        tests=(REUSE, "-k", "changes_an_answer or new_studies or made_again"),
    ),
    *of(
        "pipeline/runs/model_side/opening.py",
        (
            "if (auditor.loaded.sha256, auditor.loaded.code_sha256) != (spec.model.sha256, spec.model.code_sha256):",
            "if False:",
        ),
        tests=(RUN, "-k", "under_way"),
    ),
    *of(
        "pipeline/runs/run.py",
        ("        check_file(self.folder, SOURCES_FILE, files_told_by(self.folder / LEDGER_FILE))\n", ""),
        tests=(RUN, "-k", "under_way or missing_shard"),
    ),
    *of(
        "pipeline/runs/locking.py",
        ("source.image_sha256 or source.sha256", "source.sha256"),
        tests=LOCKING,
    ),
    *of(
        "pipeline/runs/measure.py",
        ("        if not any(key[: len(allowed)] == allowed for allowed in _MEASURABLE):", "        if False:"),
        ("    if trust.refused:", "    if False:"),
        ('    ("overlap",),\n', '    ("overlap",),\n    ("model", "threshold"),\n'),
        tests=("tests/pipeline/runs/test_measure.py", "-k", "refused or altered"),
    ),
    *of(
        "pipeline/walk/sources.py",
        ("if study.source_sha256 == sha256 or (", "if True or ("),
        ("(isinstance(study, StudyError) and not study.source_sha256)", "isinstance(study, StudyError)"),
        tests=("tests/pipeline/walk/test_bound_files.py",),
    ),
    *of(
        "pipeline/walk/reading.py",
        (
            "outcome = _outcome(auditor, source, bound(study, source.sha256))",
            "outcome = _outcome(auditor, source, study)",
        ),
        tests=("tests/pipeline/walk/test_bound_files.py",),
    ),
    *of(
        "pipeline/walk/reading.py",
        ("        check_reference(study, auditor.config)\n", ""),
        tests=("tests/pipeline/walk/test_mask_faults.py", "-k", "label_of_a_mask"),
    ),
    *of(
        "pipeline/walk/measuring.py",
        (
            "for number, mask in enumerate(self.study.masks) if mask.label == label]",
            "for number, mask in enumerate(self.study.masks)]",
        ),
        tests=(f"{RUN}::test_each_label_is_held_against_its_own_masks",),
    ),
    *of(
        "pipeline/walk/measuring.py",
        ("_undefined(fault.reader, undefined_scores(metrics, fault.reason)) for fault in faults]", "*()]"),
        tests=("tests/pipeline/walk/test_mask_faults.py", "-k", "one_readers_fault or vendor"),
    ),
]
