"""MLflow and Weights & Biases, where somebody asked for them: a run's ids and figures, never a picture or a file."""

from importlib import import_module
from types import ModuleType

from pipeline.errors import ConfigError, OutputError
from pipeline.extras import needs
from pipeline.findings.results import Results
from reports.exports.figures import figures_of, identity_of

__all__ = ["log_to_mlflow", "log_to_wandb", "require_tracker"]


def log_to_mlflow(results: Results, experiment: str) -> None:
    """Log a run under an experiment; where, its own variables say (MLFLOW_TRACKING_URI).

    Raises:
        ConfigError: when it is not installed.
        OutputError: when it does not take the run.
    """
    mlflow = _module("mlflow", "--mlflow")
    try:
        mlflow.set_experiment(experiment)
        with mlflow.start_run(run_name=results.run):
            mlflow.set_tags({f"camaudit.{name}": value for name, value in identity_of(results).items()})
            mlflow.log_metrics(figures_of(results))
    except Exception as error:
        raise OutputError(f"--mlflow: the run was not logged: {type(error).__name__}") from error


def log_to_wandb(results: Results, project: str) -> None:
    """Log a run under a project; where, its own variables say (WANDB_BASE_URL, WANDB_MODE).

    Raises:
        ConfigError: when it is not installed.
        OutputError: when it does not take the run.
    """
    wandb = _module("wandb", "--wandb")
    # neither the code nor the machine is anybody's business: figures alone were asked for
    settings = {"save_code": False, "disable_git": True, "x_disable_stats": True, "x_disable_meta": True}
    try:
        run = wandb.init(
            project=project, name=results.run, config=identity_of(results), settings=wandb.Settings(**settings)
        )
        run.log(figures_of(results))
        run.finish()
    except Exception as error:
        raise OutputError(f"--wandb: the run was not logged: {type(error).__name__}") from error


def require_tracker(option: str) -> None:
    """Import what ``--mlflow`` or ``--wandb`` logs to, before there is anything to log.

    Raises:
        ConfigError: when it is not installed.
    """
    _module(option.removeprefix("--"), option)


def _module(name: str, option: str) -> ModuleType:
    """Return a tracker's module, imported at no other time than when it is asked for."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{option}: {needs(name)}") from error
