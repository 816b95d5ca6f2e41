# What .ci/run and a developer call; needs the environment of README's test command.

# Where it is set, each start of the command compiles its modules again: a quarter of a second each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help test lab cuda soak machine container docs lint types floors demo-bundle nuclei-bundle
.DEFAULT_GOAL := help

# In parallel, a worker more than cores; a file's tests share what its fixtures made. `pytest` alone runs all
# there is, also what needs the machine for itself, in one process.
PARALLEL = pytest -n auto --dist loadfile
LAB = tests/bench tests/benchmarks tests/export tests/quality
CUDA = tests/cuda_on_cpu tests/engines/tensorrt tests/fake_cuda tests/gpu tests/kernels

# This list.
help:
	@awk 'function tell(name, words,   n, word, line, i) { \
	        n = split(words, word, " "); line = sprintf("  %-14s", name); \
	        for (i = 1; i <= n; i++) { \
	            if (length(line) + length(word[i]) > 79) { print line; line = sprintf("  %-14s", "") } \
	            line = line " " word[i] } \
	        print line } \
	    BEGIN { print "make TARGET, where the package is installed with its extra dev:\n" } \
	    /^# / { words = words " " substr($$0, 3); next } \
	    /^[a-z-]+:/ { sub(/:.*/, ""); tell($$0, words) } \
	    { words = "" }' $(firstword $(MAKEFILE_LIST))

# Tests of what runs at the microscope.
test:
	$(PARALLEL) $(addprefix --ignore ,$(LAB) $(CUDA) tests/container/test_image.py tests/site \
		tests/soak/test_soak.py tests/systemd)

# Tests of what trains, exports and measures.
lab:
	$(PARALLEL) $(LAB)

# Tests of CUDA and TensorRT without a GPU.
cuda:
	$(PARALLEL) $(CUDA)

# The daemon's soak scripts, all at once; they need the machine for themselves.
soak:
	pytest tests/soak/test_soak.py

# The service in a booted systemd; it needs the machine for itself, and root.
machine:
	pytest tests/systemd

# Builds the Containerfile on a bare Debian, and runs what it makes; needs root, buildah and debootstrap.
container:
	pytest tests/container

# The site, into build/site, and its tests; installs what builds it, and needs no network beyond that.
docs:
	pip install --quiet --constraint tests/constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	pytest tests/site

# Style: ruff's rules and its format.
lint:
	ruff check
	ruff format --check

# Types: mypy, strict.
types:
	mypy

# What runs without torch and shows each dependency of the runtime at its work.
FLOORS_TESTS = tests/acquisition tests/outputs tests/report/test_report.py tests/bundle/test_bundle.py \
	tests/tasks tests/quality/test_doctor_image.py tests/test_light_imports.py tests/test_patches.py \
	tests/cli/test_run.py tests/cli/test_run_lif.py tests/system/test_state_directory.py tests/terminal/test_terminal.py \
	tests/engines/openvino/test_compiled_cache.py tests/engines/tensorrt/test_engine_cache.py tests/engines/openvino/test_unfold.py \
	tests/engines/test_verification.py tests/watch/test_daemon.py tests/watch/scanner/test_events.py \
	tests/watch/worker/test_worker.py

# The runtime's tests with the oldest versions that pyproject.toml allows, without torch: docs/evidence/dependencies.md.
floors:
	rm -rf build/floors
	python -m venv build/floors
	python -m tests.tools.floors > build/floors/constraints.txt
	build/floors/bin/pip install --quiet --constraint build/floors/constraints.txt --editable '.[onnxruntime]' \
		hypothesis jsonschema matplotlib ome-types pytest pytest-xdist roifile scikit-image xmlschema
	build/floors/bin/pytest -n auto --dist loadfile $(FLOORS_TESTS)

# Draws, trains and exports the shipped model of the assay again, to the same weights on the same kind of machine: some
# twenty minutes on two cores.
demo-bundle:
	colvi-edge simulate build/demo/training --images 144 --seed 4294967296
	colvi-edge simulate build/demo/validation --images 24 --seed 8589934592
	colvi-edge simulate build/demo/test --images 40 --seed 12884901888
	colvi-edge train build/demo -o build/demo.pt
	cp build/demo.pt export/demo.pt
	colvi-edge simulate build/calibration --images 40 --seed 1
	colvi-edge export export/demo.pt -o colvi_edge/demo.colvi --calibration build/calibration \
		--name 'colvi-edge synthetic demo model'

# Draws, trains and exports the shipped model that outlines nuclei; whether to the same weights was not tried.
nuclei-bundle:
	colvi-edge simulate build/nuclei/training --masks --images 16 --seed 17179869184
	colvi-edge simulate build/nuclei/validation --masks --images 6 --seed 21474836480
	colvi-edge simulate build/nuclei/test --masks --images 40 --seed 25769803776
	colvi-edge train build/nuclei -o build/nuclei.pt --input nuclei --classes background,nucleus --epochs 8
	cp build/nuclei.pt export/demo-nuclei.pt
	colvi-edge simulate build/nuclei-calibration --images 20 --seed 1
	colvi-edge export export/demo-nuclei.pt -o colvi_edge/demo-nuclei.colvi --calibration build/nuclei-calibration \
		--name 'synthetic demo nuclei'
