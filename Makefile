# What .ci/run and a developer call; needs the environment of README's test command.
.PHONY: test lint types demo-bundle

test:
	pytest

lint:
	ruff check
	ruff format --check

types:
	mypy

# Draws, trains and exports the shipped model again: some twenty minutes on two cores.
demo-bundle:
	python -m colvi_edge.export.demo export/demo.pt
	colvi-edge simulate build/calibration --images 40 --seed 1
	colvi-edge export export/demo.pt -o colvi_edge/demo.colvi --calibration build/calibration \
		--name 'colvi-edge synthetic demo model' --pixel-size-um 0.3
