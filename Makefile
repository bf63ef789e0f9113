# `make help` lists what can be made. Each target makes its own virtual environment first if there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
REFERENCE ?= .reference
KUSTOMIZE_VERSION ?= v5.8.0

TRAINER = https://raw.githubusercontent.com/kubeflow/trainer/v2.3.0/manifests/base/crds/trainer.kubeflow.org

# Of the images; `components/images.py` says where they go unless it is said here.
ENGINE ?= $(firstword $(foreach engine,podman docker buildah,$(if $(shell command -v $(engine)),$(engine))))
IMAGES ?= light model
REGISTRY ?= $(shell sed -n 's/^REGISTRY = "\(.*\)"/\1/p' components/images.py)
TAG ?= $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' stt_model/__init__.py)
REVISION ?= $(shell git describe --always --dirty --abbrev=40)
BASE ?=
SECONDS ?= 60
SEED ?= 1
BUILD_FLAGS ?=
LOCK_IMAGE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-human test test-slow docs lint type compile fuzz bench bench-step bench-evaluation bench-overheads bench-features bench-gpu bench-align bench-decoding bench-defaults bench-forecast bench-gain bench-reading bench-rounding bench-suggest bench-suspects reference lock clean images test-containers manifests test-crds test-manifests test-cluster

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make the virtual environment .venv with everything in it

$(INSTALLED): setup.cfg constraints.txt
	@echo "Making $(VENV) with $$($(PYTHON) --version): TensorFlow and some 170 other packages, about three"
	@echo "gigabytes on disk. This takes some minutes; pip names each package."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --constraint constraints.txt \
	    --editable '.[train,align,import,pipeline,speech,dev]'
	@touch $@
	@echo "Done: $(BIN)/stt-bootstrap"

demo: $(INSTALLED) ## bring a real English checkpoint to two other languages, in a few minutes
	$(BIN)/python -m stt_bootstrap.demo

demo-human: $(INSTALLED) ## bring a published Armenian model to human speech in Russian and Spanish (needs apt-get)
	$(BIN)/python -m stt_bootstrap.demo.human

test: $(INSTALLED) ## run the default test suite
	$(BIN)/python -m pytest -m "not slow and not reference and not containers and not kustomize and not cluster"

test-slow: $(INSTALLED) ## run the tests that take long
	$(BIN)/python -m pytest -m slow

test-cluster: $(INSTALLED) ## run what needs a real cluster: set KUBECONFIG and KFP_ENDPOINT
	$(BIN)/python -m pytest -m cluster tests/cluster tests/pipelines

manifests: $(BIN)/kustomize ## render manifests/ anew for the tests
	$(BIN)/python -m tests.manifests.render

test-crds: $(INSTALLED) ## check the objects for Kubeflow Trainer against its CRDs, downloaded
	mkdir -p build/crds
	for kind in trainjobs clustertrainingruntimes; do \
	    curl -fsSL -o build/crds/trainer.kubeflow.org_$$kind.yaml $(TRAINER)_$$kind.yaml || exit 1; done
	TRAINER_CRDS=build/crds $(BIN)/python -m pytest tests/manifests/test_training_runtime.py

test-manifests: $(BIN)/kustomize ## test manifests/, rendering included
	$(BIN)/python -m pytest tests/manifests

$(BIN)/kustomize: $(INSTALLED)
	GOBIN=$(abspath $(BIN)) go install sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION)

lint: $(INSTALLED) ## check style, and that imports go one way only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

type: $(INSTALLED) ## check types
	$(BIN)/mypy

docs: $(INSTALLED) ## build the documentation in build/site; dead links fail
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

compile: $(INSTALLED) ## write the compiled pipelines and components anew
	$(BIN)/python -m stt_bootstrap.pipelines.written_components
	$(BIN)/stt-bootstrap compile

fuzz: $(INSTALLED) ## give every reader of foreign bytes damaged ones, SECONDS for each (60)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

bench: $(INSTALLED) ## measure training speed, beside Coqui's if `make reference` installed it
	$(BIN)/python -m tests.benchmarks.training_speed \
	    $(if $(wildcard $(REFERENCE)/train),--reference $(REFERENCE))

bench-step: $(INSTALLED) ## list where the time of a training step goes
	$(BIN)/python -m tests.benchmarks.step_profile

bench-gpu: $(INSTALLED) ## measure training steps on one GPU, and on two where there are two
	$(BIN)/python -m tests.benchmarks.gpu_speed

bench-evaluation: $(INSTALLED) ## measure evaluation beside Coqui's (after `make reference`)
	$(BIN)/python -m tests.benchmarks.evaluation_speed --reference $(REFERENCE)

bench-features: $(INSTALLED) ## measure making features, beside decoding alone and Coqui's if it is installed
	$(BIN)/python -m tests.benchmarks.feature_speed \
	    $(if $(wildcard $(REFERENCE)/train),--reference $(REFERENCE))

bench-overheads: $(INSTALLED) ## measure the starts of steps, surgery beside cp, validation beside reading
	$(BIN)/python -m tests.benchmarks.overheads

bench-rounding: $(INSTALLED) ## measure 8-bit rounding of MODELS='CHECKPOINT=MANIFEST …'
	$(BIN)/python -m tests.benchmarks.rounding $(MODELS)

bench-align: $(INSTALLED) ## measure how well long recordings become clips, beside ctc-segmentation if it is installed
	$(BIN)/python -m tests.benchmarks.alignment build/align --by sentence word --rounds 1 2 --epochs auto

bench-decoding: $(INSTALLED) ## measure decoding with a scorer beside Coqui's (after `make reference`)
	$(BIN)/python -m tests.benchmarks.decoding_speed --reference $(REFERENCE)

bench-reading: $(INSTALLED) ## measure reading from an S3 server, packed against loose
	$(BIN)/python -m tests.benchmarks.reading_speed

bench-defaults: $(INSTALLED) ## measure the settings that the rule chooses beside others, in a day or so
	$(BIN)/python -m tests.benchmarks.defaults build/defaults

bench-forecast: $(INSTALLED) ## measure how far forecasts can be trusted, in an hour or two (needs apt-get)
	$(BIN)/python -m tests.benchmarks.forecasts build/forecasts

bench-suggest: $(INSTALLED) ## measure suggestions against chance, and pseudo-labels against none, in an hour
	$(BIN)/python -m tests.benchmarks.selection build/selection

bench-suspects: $(INSTALLED) ## measure whether suspects are the wrong transcripts, in half an hour
	$(BIN)/python -m tests.benchmarks.wrong_transcripts build/suspects

bench-gain: $(INSTALLED) ## measure what bootstrapping gains over training from scratch, in about an hour
	$(BIN)/python -m tests.benchmarks.bootstrapping_gain build/gain

reference: $(INSTALLED) ## install Coqui STT 1.4.0 into .reference and compare with it (needs Python 3.7 and 3.10)
	tests/golden/install_reference.sh $(REFERENCE)
	STT_REFERENCE_DIR=$(abspath $(REFERENCE)) $(BIN)/python -m pytest -m reference

lock: $(INSTALLED) ## resolve constraints.txt anew for every Python that is supported
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
	    --all-extras --no-emit-package stt-bootstrap setup.cfg --output-file constraints.txt
	$(LOCK_IMAGE) docker/build.in --output-file docker/build.txt
	$(LOCK_IMAGE) --no-deps docker/executor.in --output-file docker/executor.txt
	$(LOCK_IMAGE) setup.cfg --extra import --extra nodes --extra numbers --output-file docker/light.txt
	$(LOCK_IMAGE) setup.cfg --extra train --extra align --extra numbers --extra serve docker/model.in --no-emit-package tensorflow \
	    --output-file docker/model.txt
	$(LOCK_IMAGE) setup.cfg --extra train --extra align --extra numbers --extra serve docker/model-gpu.in --output-file docker/model-gpu.txt

images: ## build the images with podman, docker or buildah; IMAGES=model-gpu for the one with CUDA
	@test -n "$(ENGINE)" || { echo "no podman, docker or buildah here; set ENGINE" >&2; exit 1; }
	for image in $(IMAGES); do \
	    $(ENGINE) build --file docker/Dockerfile $(if $(BASE),--build-arg BASE=$(BASE)) \
	        --build-arg IMAGE=$$image --build-arg VERSION=$(TAG) --build-arg REVISION=$(REVISION) \
	        $(BUILD_FLAGS) --tag $(REGISTRY)/$$image:$(TAG) . || exit; \
	done
	$(ENGINE) images --filter reference='$(REGISTRY)/*:$(TAG)'

test-containers: $(INSTALLED) ## run the pipeline in the images of `make images`, with podman or docker
	$(BIN)/python -m pytest -m containers -rs tests/containers

clean: ## remove what these targets made
	rm -rf $(VENV) build *.egg-info demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
