"""The documents say what the program does."""

import re
import tomllib
from ast import literal_eval
from pathlib import Path

import pytest
import yaml

import camaudit
from cam import METHODS
from cam.table import markdown
from flows.demo.configs import KINDS, MODALITIES
from pipeline.config import AuditConfig
from pipeline.config_file import load_config
from pipeline.errors import Reason
from pipeline.evidence.metrics.registry import METRICS
from pipeline.evidence.metrics_table import document, table
from pipeline.studies.listing.dataset_layouts import LAYOUTS
from pipeline.studies.readers import BUILT_IN
from pipeline.studies.readers.table import TABLES, with_tables

ROOT = Path(__file__).resolve().parents[1]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_table_of_methods_is_the_registrys():
    assert read("docs/methods.md") == markdown(), "run: python -m cam.table > docs/methods.md"
    assert "`gradcam`" in markdown()


def test_the_table_of_metrics_is_the_declarations():
    said = read("docs/evidence.md")
    assert said == document(said), "run: python -m pipeline.evidence.metrics_table"
    assert "`surface_dice`" in table()


def test_a_document_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="must hold the marks"):
        document("nothing")


def test_the_tables_of_formats_are_the_readers():
    text = read("docs/formats.md")
    assert text == with_tables(text), "run: python -m pipeline.studies.readers.table docs/formats.md"
    assert all(f"<!-- {name} -->\n| " in text for name in TABLES)
    for facts in BUILT_IN.facts:
        assert facts.title in text
        assert (facts.image is not None, facts.mask is not None) == (facts.reads != "mask", facts.reads != "image")


def test_the_table_of_layouts_names_each():
    text = read("docs/formats.md")
    assert [layout.name for layout in LAYOUTS if f"| `{layout.name}` |" not in text] == []


def test_the_readmes_example_runs(capsys):
    code = read("README.md").split("```python")[1].split("```")[0]
    exec(code, {})
    printed = capsys.readouterr().out
    assert printed.count("gradcam class_layers.relu") == 2
    assert "{'class_layers.relu': (('gradcam', 'hirescam'),)}" in printed


def test_every_metric_and_reason_is_documented():
    evidence, audit = read("docs/evidence.md"), read("docs/audit.md")
    assert [name for name in METRICS if f"`{name}`" not in evidence] == []
    assert [reason for reason in Reason if f"`{reason}`" not in audit] == []


def test_the_readmes_configuration_is_valid():
    text = read("README.md").split("```yaml")[1].split("```")[0]
    assert AuditConfig.model_validate(yaml.safe_load(text)).name == "nodule-ct"


@pytest.mark.parametrize("path", sorted((ROOT / "docs/examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid(path):
    if not path.name.endswith(".lock.yaml"):
        load_config(path)


DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
SECTIONS = {
    name: field.annotation.model_fields
    for name, field in AuditConfig.model_fields.items()
    if hasattr(field.annotation, "model_fields")
}


def code_in(name):
    """Return everything that a document sets as code."""
    text = read(name)
    return [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_key_that_is_named_is_a_key(name):
    keys = [key for code in code_in(name) for key in re.findall(r"(?<![\w./])([a-z_]+\.[a-z_]+)(?![\w./(])", code)]
    named = [key.split(".") for key in keys if key.split(".")[0] in SECTIONS]
    endings = {"yaml", "py", "json", "csv", "pdf", "html", "dcm", "safetensors"}
    wrong = [f"{part}.{key}" for part, key in named if key not in SECTIONS[part] and key not in endings]
    assert wrong == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_option_of_a_method_that_is_named_is_one(name):
    for code in code_in(name):
        for method, options in re.findall(r"\{(\w+): \{([^{}]+)\}\}", code):
            if method in METHODS:
                given = yaml.safe_load("{" + options + "}")
                assert set(given) <= set(METHODS[method].options), code


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_and_option_that_is_named_exists(name):
    import typer.main

    from flows.cli import app

    commands = typer.main.get_command(app).commands
    options = {
        command: {option for parameter in found.params for option in parameter.opts}
        for command, found in commands.items()
    }
    for code in code_in(name):
        for line in code.splitlines():
            match = re.search(r"(?:^|\s|bin/)camaudit ([a-z]+)\b(.*)", line.split("#")[0])
            if match is None:
                continue
            assert match[1] in commands, line
            assert set(re.findall(r"(?<!\w)--[a-z-]+", match[2])) <= options[match[1]], line
        if re.fullmatch(r"--[a-z-]+", code):
            assert any(code in known for known in options.values()) or code in ALSO_OPTIONS, code


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_option_in_a_sentence_is_one(name):
    """``--set overlap.threshold=0.5`` as well as ``--set``; what another program is asked belongs to that program."""
    import typer.main

    from flows.cli import app

    commands = typer.main.get_command(app).commands.values()
    known = ALSO_OPTIONS.union(*(parameter.opts for command in commands for parameter in command.params))
    for code in re.findall(r"`(--[^`\n]+)`", read(name)):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code)) <= known, code


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_variable_of_the_environment_that_is_named_is_read(name, sources):
    named = set(re.findall(r"\bCAMAUDIT_[A-Z_]+", read(name)))
    assert {variable for variable in named if not any(variable in text for text in sources)} == set()


@pytest.fixture(scope="module")
def sources():
    """Return what is read of the environment by the program, its recipes and its tests."""
    folders = (*PACKAGES, "deploy", "tests")
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    texts = (
        path.read_bytes().decode("utf-8", "ignore") for path in paths if path.suffix in {".py", ".yaml", ".service", ""}
    )
    return [text for text in texts if "CAMAUDIT_" in text]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_name_of_the_door_that_is_named_is_public(name):
    rooms = {path.stem for path in (ROOT / "camaudit").iterdir()}
    named = {word for code in code_in(name) for word in re.findall(r"\bcamaudit\.([A-Za-z_]\w*)", code)}
    assert named <= {*camaudit.__all__, *rooms, "readers", "sections", "service", "timer"}


def test_the_samples_are_those_of_the_demo():
    shown = re.findall(r'href="samples/([\w-]+)\.(pdf|html)"', read("docs/samples.md"))
    audits = {f"{modality.name}-{kind}" for modality in MODALITIES for kind in KINDS}
    assert sorted(shown) == sorted((audit, ending) for audit in audits for ending in ("pdf", "html"))
    recipe = read("Makefile").split("\nbuild/samples/made:")[1].split("\n\n")[0]
    assert "build/samples/samples/" in recipe


def test_every_example_has_its_place_in_the_gallery():
    (order,) = re.findall(r"^EXAMPLES = (\([^)]+\))", read("docs/conf.py"), re.MULTILINE)
    assert {f"plot_{name}.py" for name in literal_eval(order)} == {
        path.name for path in (ROOT / "docs" / "gallery").glob("plot_*.py")
    }


ALSO_OPTIONS = {
    "--disable-3d-apis",
    "--densenet",
    "--server",
    "--quick",
    "--write",
    "--debug",
    "--version",
}  # of the benchmarks; of the command line itself


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_module_and_target_that_is_named_exists(name):
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for code in code_in(name):
        for module in re.findall(r"python -m ([\w.]+)", code):
            path = ROOT.joinpath(*module.split("."))
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), code
        for target in re.findall(r"(?:^|\n)make ([a-z-]+)", code):
            assert target in targets, code


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_of_the_project_that_is_named_exists(name):
    for code in code_in(name):
        for path in re.findall(
            r"(?<![\w/.<])((?:cam|pipeline|reports|flows|tests|docs)/[\w/]+\.(?:py|md|csv|yaml|png))", code
        ):
            assert (ROOT / path).exists(), code


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if link.startswith("http"):
            continue
        if link.startswith("auto_examples/"):  # made from the gallery when the site is built
            made_from = f"{Path(link).stem}.py" if "plot_" in link else "README.txt"
            assert (ROOT / "docs" / "gallery" / made_from).exists(), link
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, link


def test_the_glossary_has_a_sentence_for_each_word_in_order():
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", read("docs/glossary.md"), re.MULTILINE)[1:]
    words = [word for word, _ in rows]
    assert len(words) >= 30
    assert words == sorted(set(words))
    assert [word for word, sentence in rows if not re.fullmatch(r"[A-Z].*[^.]\.", sentence)] == []
    for name in ("README.md", "CONTRIBUTING.md"):
        assert "](docs/glossary.md)" in read(name), name


def test_the_tree_in_contributing_is_the_tree():
    tree = read("CONTRIBUTING.md").split("```")[1]
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    names = {folder.name for folder in folders} | {"tests", "oracles", "schema", "deploy"}
    assert set(re.findall(r"(\w+)/", tree)) == names
    assert set(re.findall(r"\w+\.py", tree)) <= {path.name for folder in folders for path in folder.glob("*.py")}


PACKAGES = ("cam", "pipeline", "reports", "flows", "camaudit")


def test_the_citation_is_of_this_project():
    cited, project = yaml.safe_load(read("CITATION.cff")), tomllib.loads(read("pyproject.toml"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["title"].split(":")[0] == project["name"]
    assert cited["license"] == project["license"]
    assert project["urls"]["Documentation"].startswith(cited["repository-code"])


def test_a_commit_is_held_to_what_make_check_runs():
    recipe = read("Makefile").split("\ncheck: ")[1].split("\n\n")[0]
    commands = re.findall(r"\$\(BIN\)/(.+)", recipe)
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    # a hook is given the files, and mends what `--check` only names
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in hooks] == [
        re.sub(r" --check\b| \.$", "", command) for command in commands
    ]
