"""When, where and how often: the Prefect flow, the schedule, the command line, the demo."""
