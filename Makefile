# Every command of the project; `make` lists them.
TARGET ?= 5
PORT ?= 8000
TITLES ?= 1
# Some systems have a variable NAME of their own, which is not meant.
NAME =
COMMANDS = help report tables published test lab study-from registry local finetune elicit batch estimate plan export pdf compare serve reproduce check-servers bench coverage verdicts truths fit notebooks rooms picture clean lint
NAMES = STUDY STUDIES DATA ONLY TARGET PORT BY_HAND CANCEL ANYWAY OPTIONS REPLIES RATINGS TITLES LICENCE NAME PYTHON
# A misspelt name would be passed over in silence, and the demo made instead.
UNKNOWN := $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(filter-out $(NAMES) SHELL,$(name)))))
ifneq ($(UNKNOWN),)
$(error $(UNKNOWN) is not known here; expected STUDY=, DATA= or another name that `make help` shows; correct it and run again)
endif
# What was given is text and stays text: neither make nor a shell runs what stands in it, as recipes take it from the environment.
$(foreach name,$(NAMES),$(eval override $(name) := $$(value $(name))))
export $(NAMES)
# What the user's account sets for other work with Python is not for this one; the library is that of this folder.
unexport PYTHONHOME PYTHONOPTIMIZE PYTHONWARNINGS PYTHONSTARTUP PYTHONINSPECT PYTHONPLATLIBDIR PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT
export PYTHONPATH := $(CURDIR)/lib
# Ends with 0 if an interpreter can be used, with 11 if it is too old, with 12 if it is too new for the pinned packages.
SUITS = import sys; v = sys.version_info[:2]; sys.exit(11 if v < (3, 11) else 12 if v > (3, 14) else 0)
PYTHONS = python3.13 python3.12 python3.11 python3.14 python3 python
# A mistyped command gets the nearest there is, from any Python that can be found.
WRONG := $(firstword $(filter-out $(COMMANDS) .venv/ready .venv/local Makefile,$(MAKECMDGOALS)))
ifneq ($(WRONG),)
NEAREST := $(shell for p in .venv/bin/python $(PYTHONS); do $$p -c 'import difflib, sys; \
	print(*difflib.get_close_matches(sys.argv[1], sys.argv[2:], 1))' '$(subst ','\'',$(WRONG))' $(COMMANDS) 2>/dev/null && break; done)
$(error there is no command $(WRONG)$(if $(NEAREST),; did you mean make $(NEAREST),; `make help` lists them))
endif
RUN = .venv/bin/python -m persona_collapse
WITH = $(if $(STUDY),--study="$$STUDY") $(if $(DATA),--data="$$DATA")
.DEFAULT_GOAL := help
.PHONY: $(COMMANDS)

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'
	@echo '  STUDY is a name in params/studies/ or a path to a YAML file; DATA the folder of an imported study.'

report: .venv/ready ## ratings, tables, notebooks and outputs/<study>/report.html [STUDY=demo] [DATA=folder]
	@$(RUN) report $(WITH)

tables: .venv/ready ## ratings and tables alone, without notebooks [STUDY=demo] [DATA=folder] [ONLY=metrics,contrasts]
	@$(RUN) tables $(WITH) $(if $(ONLY),--only="$$ONLY")

published: .venv/ready ## fetch the paper's ratings with git, then their report
	@$(RUN) published $(WITH)

# No startup files of the user's IPython, as they would change what notebooks show.
test: export IPYTHONDIR := $(CURDIR)/.cache/ipython
test: .venv/ready ## all tests, notebooks included
	@.venv/bin/python -m pytest -q

lab: .venv/ready ## JupyterLab on a working copy of the notebooks
	@$(RUN) lab

local: .venv/local ## open weights, no server: train, ask and report; SmolLM2 out of the box [STUDY=smollm2]
	@$(RUN) local $(WITH)

finetune: .venv/local ## train the adapters of a study of open weights STUDY=
	@$(RUN) finetune $(WITH)

study-from: .venv/ready ## a study file for you to edit, from ratings that you have DATA=file-or-folder NAME=x
	@$(RUN) study-from $(if $(DATA),--data="$$DATA") $(if $(NAME),--name="$$NAME")

elicit: .venv/ready ## ask or read what a study's store lacks [STUDY=demo] [ANYWAY=1]
	@$(RUN) elicit $(WITH) $(if $(ANYWAY),--anyway="$$ANYWAY")

batch: .venv/ready ## the same by OpenAI batches at half price, or by files [STUDY=study] [BY_HAND=1] [CANCEL=1]
	@$(RUN) batch $(WITH) $(if $(BY_HAND),--by-hand="$$BY_HAND") $(if $(CANCEL),--cancel="$$CANCEL")

estimate: .venv/ready ## requests, tokens, price and hours of every way to ask; sends nothing [STUDY=openai-example]
	@$(RUN) estimate $(WITH)

plan: .venv/ready ## personas and repetitions for a precision, by each way of asking, with price [STUDY=openai-example] [TARGET=5]
	@$(RUN) plan $(WITH) --target="$$TARGET"

export: .venv/ready ## LaTeX, print figures, tidy data and one zip to deposit [STUDY=demo] [REPLIES=1] [RATINGS=1] [TITLES=0] [LICENCE=CC-BY-4.0]
	@$(RUN) export $(WITH) $(if $(REPLIES),--replies="$$REPLIES") $(if $(RATINGS),--ratings="$$RATINGS") --titles="$$TITLES" $(if $(LICENCE),--licence="$$LICENCE")

pdf: .venv/ready ## the appendix printed to outputs/<study>/report.pdf, where Chromium is installed [STUDY=demo] [DATA=folder]
	@$(RUN) pdf $(WITH)

compare: .venv/ready ## two studies side by side: outputs/compare/<a>--<b>/report.html STUDIES="demo x" [DATA=folder]
	@$(RUN) compare --studies="$$STUDIES" $(if $(DATA),--data="$$DATA")

registry: .venv/ready ## every run of every study: outputs/registry.html [STUDIES="a.yaml b" of studies without outputs]
	@$(RUN) registry --studies="$$STUDIES"

serve: .venv/ready ## the simulated endpoint on loopback, for any OpenAI client [PORT=8000] [OPTIONS='--latency 0.05']
	@$(RUN) serve --port="$$PORT" $$OPTIONS

reproduce: .venv/ready ## execute a study's notebooks again; outputs must reproduce [STUDY=demo]
	@$(RUN) reproduce $(WITH)

check-servers: .venv/ready ## real servers, before a release: llama.cpp, vLLM, transformers, LiteLLM, nginx [OPTIONS='--only vllm']
	@.venv/bin/python -m servers $$OPTIONS

bench: .venv/ready ## what the README claims about speed, measured in one run [DATA=folder of the published ratings]
	@OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/analysis.py $(if $(DATA),--data="$$DATA")
	@.venv/bin/python benchmarks/process_speed.py $(if $(DATA),--data="$$DATA")
	@OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/recommended.py $(if $(DATA),--data="$$DATA")
	@OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/verdict_speed.py $(if $(DATA),--data="$$DATA")
	@.venv/bin/python benchmarks/import_speed.py
	@.venv/bin/python benchmarks/elicitation.py

coverage: .venv/ready ## how often the intervals hold what they promise, drawn from known populations [DATA=folder of the published ratings]
	@.venv/bin/python benchmarks/interval_coverage.py $(if $(DATA),--data="$$DATA")
	@.venv/bin/python benchmarks/known_recoveries.py

verdicts: .venv/ready ## how often the verdict calls a simulated truth by its name, and what studies say in which nothing happened
	@.venv/bin/python benchmarks/verdicts.py $$OPTIONS
	@.venv/bin/python benchmarks/null_studies.py $$OPTIONS
	@.venv/bin/python benchmarks/known_paths.py $$OPTIONS

truths: .venv/ready ## study files whose truth is known, to hold a report against, into outputs/truths [OPTIONS='--only shift']
	@.venv/bin/python benchmarks/truths.py $$OPTIONS

fit: .venv/ready ## fit the simulated respondents to the published figures again
	@$(RUN) fit

notebooks: .venv/ready ## execute the committed notebooks in place, ready to commit
	@$(RUN) notebooks

rooms: .venv/ready ## draw docs/rooms.svg from the library's imports
	@.venv/bin/python docs/rooms.py

picture: .venv/ready ## draw docs/verdict.svg, the picture of the README, from the demo
	@.venv/bin/python docs/verdict.py

lint: .venv/ready ## style and types of the code
	@.venv/bin/python -m ruff check lib tests benchmarks docs servers && .venv/bin/python -m ruff format --check lib tests benchmarks docs servers
	@.venv/bin/python -m mypy

clean: ## remove what can be rebuilt, never ratings that were bought
	@if [ -x .venv/bin/python ]; then $(RUN) clean; else echo 'nothing to clean: no .venv yet'; fi

.venv/ready: requirements.txt requirements.lock pyproject.toml
	@command -v git >/dev/null 2>&1 || { echo 'git is missing: install it, then run the same command again' >&2; exit 1; }
	@if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; why=; else set -- $(PYTHONS); why='python3 is missing'; fi; \
	found=; for python; do said=$$("$$python" -c '$(SUITS)' 2>&1); case $$? in \
		0) found=$$python; break;; \
		11) why="$$("$$python" --version 2>&1) is too old";; \
		12) why="$$("$$python" --version 2>&1) is newer than the pinned packages";; \
		*) if command -v "$$python" >/dev/null 2>&1; then why="$$python does not run ($$(echo "$$said" | head -n 1))"; \
			else why=$${why:-$$python is missing}; fi;; esac; done; \
	if [ -z "$$found" ]; then \
		echo "$$why: install Python 3.14 (3.11 to 3.14 will do), or name one with make PYTHON=/path/to/python" >&2; exit 1; fi; \
	echo "building .venv with $$found (once, a minute or two) ..."; rm -rf .venv; \
	said=$$("$$found" -m venv .venv 2>&1) || { case $$said in \
		*ensurepip*|*'No module named venv'*) echo "the venv module of $$found is missing: install it (Debian: python3-venv)";; \
		*) echo ".venv cannot be made: $$(echo "$$said" | tail -n 1)";; esac >&2; exit 1; }
	@# Of what pip says only errors are heard; it warns of every place that a machine's configuration names in vain.
	@.venv/bin/python -m pip install --quiet --quiet --no-user --disable-pip-version-check -r requirements.txt -c requirements.lock
	@touch .venv/ready

.venv/local: .venv/ready requirements-local.txt
	@echo 'adding torch and what else open weights need to .venv (once, some minutes) ...'
	@.venv/bin/python -m pip install --quiet --quiet --no-user --disable-pip-version-check -r requirements-local.txt -c requirements.lock
	@touch .venv/local
