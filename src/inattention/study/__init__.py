"""The experiment: plan, run, tables, report."""
