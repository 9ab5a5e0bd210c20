# Two commands are enough on a machine with Go and make: make test, make demo.
# What else they need they install with the system's package manager, and say so.

GO       ?= go
TOOL     := $(GO) tool -modfile=tools/go.mod
GOFILES   = $(shell find . -name '*.go' -not -path './.*')
# Arguments for bin/mahrem demo, as in: make demo ARGS='--data DIR'
ARGS     ?=

.PHONY: fuzz help test demo build lint fmt bench interop ensure-postgres ensure-cc ensure-chromium

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Arithmetic and commands, one thing after the other for minutes: the race detector has little to
# find in them and makes them many times slower. They are tried in full with the long ones; what
# of them works at the same time is in packages of its own.
ALONE := cmd/mahrem|cleanroom/noise|cleanroom/prepare|internal/roomattack

# What -short leaves out is arithmetic over whole fact spaces, a year of asking and every day of every law.
test: ensure-postgres ensure-cc ensure-chromium lint ## check style, run all tests under the race detector, then the long ones without it
	$(GO) test -race -short -p 2 -timeout 40m $$($(GO) list ./... | grep -vE '/($(ALONE))$$')
	$(GO) test -timeout 30m ./cmd/mahrem ./policies ./gate ./internal/bench ./dsar/clock ./dsar/ledger ./audit/page ./audit/tally ./cleanroom/noise ./cleanroom/persona ./cleanroom/prepare ./internal/roomattack
	$(GO) test -timeout 30m -v -run '$(LONG)' ./internal/tamper ./internal/assembly ./postgres ./internal/demo
	scripts/fuzz
	FUZZTIME=15s scripts/fuzz ./cleanroom/...

# The long tests of packages whose others ran above: a restored dump, locks and races, a million
# rows, questions against their naive answers, and processes that are killed at any moment.
LONG := TestErasureOutlivesARestore|TestHoldAgainstErasure|TestHoldRacesErasure|TestPrune|TestKilled|TestIYSMillionRows
LONG := $(LONG)|TestExecutorIsTheNaiveOne|TestLedgerNeverExceedsItsCap|TestArchiveLog|TestMatrix|TestWithdrawals

fuzz: ## feed every decoder of the consent house with made-up input, a minute each
	scripts/fuzz

demo: ensure-postgres build ## build, then tell the story on a database of its own
	bin/mahrem demo $(ARGS)

build: ## build bin/mahrem, and bin/mahrem-verify for auditors
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/mahrem ./cmd/mahrem
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/mahrem-verify ./cmd/mahrem-verify

lint: ## check style: gofumpt, go vet, staticcheck
	@unformatted=$$($(TOOL) gofumpt -l $(GOFILES)) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted (run make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

fmt: ## format all Go files
	@$(TOOL) gofumpt -l -w $(GOFILES)

bench: ensure-postgres build ## measure: Go benchmarks, then the policies, requests of data subjects, the gate and the intake
	$(GO) test -run '^$$' -bench . -benchmem -p 1 ./...
	bin/mahrem bench policy
	bin/mahrem bench dsar
	bin/mahrem bench audit
	bin/mahrem bench consent
	bin/mahrem bench room
	bin/mahrem bench gate
	bin/mahrem bench intake

interop: ensure-postgres ## have implementations of others check a log; needs the Go module registry
	scripts/interop

ensure-postgres:
	@scripts/ensure-postgres

ensure-cc:
	@scripts/ensure-cc

ensure-chromium:
	@scripts/ensure-chromium
