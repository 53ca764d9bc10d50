# demo     make a small study with a known truth and run the workflow on it
# test     run the tests
# browser  open the pages in headless Chromium (with the package chromium)
# field    check NWB files, and what other programs of the field make of results, by those programs
# slurm    run the demo through a SLURM cluster of one node (root, with the packages slurm-wlm and munge)
# lint     check style, types and workflow
# bench    measure speed and memory
# clean    remove the environment and what the other targets made
#
# The first call makes the environment .venv and installs ecogpipe into it. Another Python: make PYTHON=python3.13 demo

SHELL := /bin/bash
.DEFAULT_GOAL := demo
.PHONY: demo test browser field slurm lint bench clean

BIN := .venv/bin
SUITS = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUITS)' 2>/dev/null && echo $$python && break; done)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

demo: .venv/installed
	$(BIN)/ecogpipe demo demo

test: .venv/installed-dev
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

browser: .venv/installed-dev .venv/installed-browser
	ECOGPIPE_BROWSER_TESTS=required $(BIN)/pytest tests/browser

field: .venv/installed-dev .venv/installed-field
	ECOGPIPE_FIELD_TESTS=required $(BIN)/pytest tests/field

slurm: .venv/installed-dev .venv/installed-slurm
	ECOGPIPE_SLURM_TESTS=required $(BIN)/pytest tests/slurm

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow
	$(BIN)/oxlint --deny-warnings src/ecogpipe/figures/web

bench: .venv/installed-bench
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv demo bench build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(if $(PYTHON),,echo "No Python 3.11, 3.12 or 3.13 with venv was found; install one (Debian, Ubuntu: apt install python3-venv)," \
		"or name it: make PYTHON=/path/to/python3" >&2; exit 1)
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing ecogpipe into .venv; this takes a minute or two."
	$(INSTALL) --editable .
	@touch $@

.venv/installed-%: .venv/installed
	$(INSTALL) --editable ".[$*]"
	@touch $@
