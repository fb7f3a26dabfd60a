# Each target does its own set-up: what a build needs goes into .cache, without root.

PORT ?= 8080
HOST ?= 127.0.0.1
MODELS ?= models
TAG ?= lucarne:latest

# PROGRAM=FILE tells of a program that is there already; then none is built.
PROGRAM = $${CARGO_TARGET_DIR:-target}/release/lucarne

help:
	@echo 'make serve        build, and serve $(MODELS)/ on http://$(HOST):$(PORT) (PORT=, HOST=, MODELS= change it)'
	@echo 'make test         run every test, and say which were slowest and how many ran'
	@echo 'make lint         formatting, clippy and documentation, warnings being errors'
	@echo 'make parity       compare the server with PyTorch (PHOTOS= names a folder of more pictures)'
	@echo 'make strangers    compare it with models of timm, smp, transformers, ultralytics (STRANGERS=, flags of strangers)'
	@echo 'make test-clients run the clients of Triton and KServe against a server (CLIENTS=, flags of tests/clients/run.py)'
	@echo 'make test-page    test the page in Chromium (PAGE=, flags of tests/page/run.mjs)'
	@echo 'make pictures     compare how folders of picture files are read with Pillow (SUITES="DIR …")'
	@echo 'make saliency     measure how good saliency maps are (FASHION_MNIST=, PHOTOS= name folders of more pictures)'
	@echo 'make bench        measure the server beside LitServe and TorchServe (BENCH=, flags of bench/run.py)'
	@echo 'make torture      attack a server, and say what others had to bear (TORTURE=, flags of tests/torture/run.py)'
	@echo 'make fuzz         have libFuzzer make up what strangers send (FUZZ=, flags and targets of scripts/fuzz)'
	@echo 'make compare      measure this build beside another (BASE=, its git revision or program; COMPARE=, flags of bench/compare.py)'
	@echo 'make protocols    measure what each protocol costs a lone client (PROTOCOLS=, flags of bench/protocols.py)'
	@echo 'make plan-check   compare what lucarne plan says of a replica with a real one (PLAN_CHECK=, flags of bench/planned.py)'
	@echo 'make aoti         compile the model folder MODEL= ahead of time, for format = "aoti" (AOTI=, flags of models/recipes/aoti.py)'
	@echo 'make wheel        build dist/lucarne_server-*.whl, install it beside torch, and test it (WHEEL=, flags of pytest)'
	@echo 'make image        build the container image $(TAG) (TAG=, CUDA=1, ENGINE=docker|podman|buildah)'
	@echo 'make test-image   build the container image and try it as people run it (BASES=own, TEST_IMAGE=, flags of tests/image/run.py)'
	@echo 'make deploy-check check the Helm chart, the resources of KServe, alerts and dashboard (DEPLOY=, flags of tests/deploy/run.py)'
	@echo 'make rolling      replace processes of the server under load, as a rolling upgrade does (ROLLING=, flags of rolling.py)'
	@echo 'make build        build the program, target/release/lucarne'
	@echo 'make setup        fetch libtorch, cmake and nasm into .cache (CUDA=1: the CUDA libraries too)'
	@echo 'make clean-cache  delete .cache'

serve: build
	exec $(PROGRAM) serve --models $(MODELS) --host $(HOST) --port $(PORT)

setup:
	@scripts/setup

build: setup
ifneq ($(origin PROGRAM),command line)
	cargo build --release
endif

test: setup
	@scripts/test

# Everything is built with --release, so that libtorch's bindings are compiled once. Documents of the examples are for nobody:
# with them, dependencies have the features that they have in tests, and are not checked once more.
lint: setup
	cargo fmt --all -- --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps --lib --examples

parity: build
	scripts/python-environment tests/parity/requirements.txt .cache/venv
	.cache/venv/bin/python tests/parity/run.py --binary "$(PROGRAM)" $(if $(PHOTOS),--photos $(PHOTOS))
	$(MAKE) strangers STRANGERS=--few
	$(MAKE) strangers STRANGERS='--few --exported'

# All of them take half an hour.
strangers: build
	scripts/python-environment tests/parity/requirements.txt .cache/venv
	scripts/python-environment tests/parity/strangers/requirements.txt .cache/strangers-venv .cache/venv
	PYTHONPATH=tests/parity .cache/strangers-venv/bin/python -m strangers --binary "$(PROGRAM)" $(STRANGERS)

test-clients: build
	scripts/python-environment tests/clients/requirements.txt .cache/clients-venv
	.cache/clients-venv/bin/python tests/clients/run.py --program "$(PROGRAM)" $(CLIENTS)

test-page: build
	scripts/test-page "$(PROGRAM)" $(PAGE)

pictures: setup
	@[ -n '$(SUITES)' ] || { echo 'make pictures SUITES="DIR …": say which folders of picture files'; exit 1; }
	cargo build --release --example pixels
	scripts/python-environment tests/parity/requirements.txt .cache/venv
	.cache/venv/bin/python tests/parity/pictures.py $(SUITES) \
		--program "$${CARGO_TARGET_DIR:-target}/release/examples/pixels"

# FASHION_MNIST=DIR, the folder of its four files, adds the experiment that needs scenes of clothes.
saliency: build
	scripts/python-environment tests/parity/requirements.txt .cache/venv
	.cache/venv/bin/python tests/saliency/run.py --binary "$(PROGRAM)" \
		$(if $(FASHION_MNIST),--fashion-mnist $(FASHION_MNIST)) $(if $(PHOTOS),--photos $(PHOTOS))

bench: build
	cargo build --release --examples
	scripts/python-environment bench/requirements.txt .cache/bench-venv
	.cache/bench-venv/bin/python bench/run.py --output .cache/bench.md $(BENCH)

compare:
	@[ -n '$(BASE)' ] || { echo 'make compare BASE=HEAD~1: say which git revision or program to compare with'; exit 1; }
	@$(MAKE) --no-print-directory build
	cargo build --release --example load
	scripts/python-environment bench/compare.requirements.txt .cache/compare-venv
	.cache/compare-venv/bin/python bench/compare.py --base '$(BASE)' $(COMPARE)

plan-check: build
	cargo build --release --example load
	python3 bench/planned.py $(PLAN_CHECK)

protocols: build
	cargo build --release --example load
	scripts/python-environment tests/clients/requirements.txt .cache/clients-venv
	.cache/clients-venv/bin/python bench/protocols.py --program "$(PROGRAM)" $(PROTOCOLS)
	.cache/clients-venv/bin/python bench/analyzed.py --program "$(PROGRAM)"

# It builds the fuzz targets and compiles the engine a second time, so it needs what a build needs.
torture: build
	python3 tests/torture/run.py --program "$(PROGRAM)" $(TORTURE)

fuzz: setup
	scripts/fuzz $(FUZZ)

aoti:
	@[ -n '$(MODEL)' ] || { echo 'make aoti MODEL=models/selfie: say which model folder'; exit 1; }
	scripts/python-environment models/recipes/aoti.requirements.txt .cache/aoti-venv
	.cache/aoti-venv/bin/python models/recipes/aoti.py $(MODEL) $(AOTI)

# The libraries whose objects are exported are those of make strangers.
wheel: build
	scripts/wheel
	scripts/python-environment tests/parity/requirements.txt .cache/venv
	scripts/python-environment tests/parity/strangers/requirements.txt .cache/strangers-venv .cache/venv
	scripts/python-environment python/requirements.txt .cache/wheel-test-venv .cache/strangers-venv .cache/venv
	python3 -m pip --python .cache/wheel-test-venv/bin/python install --disable-pip-version-check --quiet --no-deps \
		--force-reinstall dist/lucarne_server-*.whl
	.cache/wheel-test-venv/bin/python -m pytest -q --durations=10 python/tests $(WHEEL)

image:
	@scripts/image $(TAG)

test-image:
	@scripts/test-image $(TEST_IMAGE)

deploy-check: build
	scripts/deploy-tools
	scripts/python-environment tests/deploy/requirements.txt .cache/deploy-venv
	.cache/deploy-venv/bin/python tests/deploy/run.py --program "$(PROGRAM)" $(DEPLOY)

rolling: build
	scripts/python-environment tests/deploy/requirements.txt .cache/deploy-venv
	.cache/deploy-venv/bin/python tests/deploy/rolling.py --program "$(PROGRAM)" $(ROLLING)

clean-cache:
	rm -rf .cache

.PHONY: help serve setup build test lint parity strangers test-clients test-page pictures saliency bench compare plan-check protocols torture fuzz aoti wheel image test-image deploy-check rolling clean-cache
