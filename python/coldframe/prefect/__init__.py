"""coldframe in Prefect's flows and tasks."""
