# What .ci/run and a developer call; needs the environment of README's test command.
.PHONY: test lint types demo-bundle

test:
	pytest

lint:
	ruff check
	ruff format --check

types:
	mypy

# Draws, trains and exports the shipped model again.
demo-bundle:
	python -m colvi_edge.export.demo
