# Every target is at most three lines; what needs more is a script in .ci/.
GO   ?= go
TOOL := $(GO) tool -modfile=tools.mod

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/sennit
	$(GO) build -p 2 -trimpath -o bin/sennit ./cmd/sennit

.PHONY: test
test: ## Run the tests, under the race detector where it can be built, and say what was skipped
	@.ci/test

.PHONY: check
check: format vet lint generated fuzz test-query test ## Everything that CI runs

.PHONY: query
query: ## Build bin/sennit-query, a module of its own with DuckDB inside (needs g++)
	cd cmd/sennit-query && $(GO) build -p 2 -trimpath -o ../../bin/sennit-query .

.PHONY: test-query
test-query: ## Test it: the views on the recorded agents
	cd cmd/sennit-query && $(GO) vet -p 2 ./... && $(GO) test -p 2 ./...

.PHONY: format
format: ## Fail if a file is not formatted (gofumpt)
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "not formatted, run '$(TOOL) gofumpt -w .':"; echo "$$out"; exit 1; }

.PHONY: vet
vet: ## go vet
	$(GO) vet -p 2 ./...

.PHONY: lint
lint: ## golangci-lint, with the import rules
	$(TOOL) golangci-lint run --concurrency 2 ./...

.PHONY: generate
generate: ## Make generated files anew
	$(GO) generate ./...

.PHONY: generated
generated: ## Fail if a generated file is not what its source gives
	@.ci/generated

.PHONY: bench
bench: ## Run the benchmarks (BENCH=regexp)
	$(GO) test -p 1 -run '^$$' -bench '$(or $(BENCH),.)' -benchtime $(or $(BENCHTIME),1s) ./...

.PHONY: bench-shim
bench-shim: ## Measure what watching costs: CPU of an HTTP exchange without and with the shim (root)
	$(GO) test -run '^$$' -bench Shim -benchtime 1x -count 5 ./ingest/socket

.PHONY: rules-proof
rules-proof: ## Starter rules on simulate: recall on rogue requests, no false alert in 100,000 clean ones; and how fast alerts leave
	$(GO) test -count 1 -v -timeout 2h -run TestRulesProof ./cmd/internal/wire -rules-clean 100000 -rules-rogue 10000
	$(GO) test -count 1 -v -run TestMonotoneAlertsReachTheWebhook ./cmd/internal/live -early-requests 2000

.PHONY: bench-live
bench-live: ## Measure the live path: as fast as it goes, and its latency at two rates (BENCHDIR on a real disk)
	for rate in 0 50000 150000; do $(GO) run ./cmd/sennit bench live --rate $$rate --data '$(or $(BENCHDIR),$(TMPDIR))' || exit 1; done

.PHONY: soak
soak: ## Run the live path for SOAK (10m) at RATE (20000) events/s: everything stays flat and adds up
	$(GO) run ./cmd/sennit bench live --rate $(or $(RATE),20000) --for $(or $(SOAK),10m) --data '$(or $(BENCHDIR),$(TMPDIR))' --check

.PHONY: vmtest
vmtest: ## Run the tests of the shim on Debian's 6.1 kernel, in a virtual machine (VMTEST_RUN=regexp)
	@.ci/vmtest $(if $(VMTEST_RUN),'$(VMTEST_RUN)')

.PHONY: fuzz
fuzz: ## Fuzz everything that can be for FUZZTIME each (5s)
	@.ci/fuzz $(or $(FUZZTIME),5s)

.PHONY: crash
crash: ## Kill a live service and the sinks KILLS times (100) and see that nothing is lost or doubled
	SENNIT_KILLS=$(or $(KILLS),100) $(GO) test -p 1 -count 1 -timeout 60m -run 'Test(Up|Cluster)SurvivesKills|TestKilled' -v ./cmd/sennit ./sinks/...
	cd cmd/sennit-query && SENNIT_KILLS=$(or $(KILLS),100) $(GO) test -p 1 -count 1 -timeout 60m -run TestKilled -v ./...

.PHONY: jaegertest
jaegertest: ## Send traces to a real Jaeger, which is built first (minutes), and read them back
	SENNIT_JAEGER=$$(.ci/jaeger $(or $(JAEGERDIR),bin/jaeger)) && export SENNIT_JAEGER && $(GO) test -count 1 -run TestJaeger -v ./cmd/sennit

.PHONY: sqlcheck
sqlcheck: ## Read the views for BigQuery with a parser of its dialect (Debian's python3-sqlglot)
	.ci/sqlcheck

.PHONY: accuracy
accuracy: ## Measure how right inferred joins are and write docs/accuracy.md (needs the recordings)
	$(GO) run ./cmd/internal/accuracy

.PHONY: agents
agents: build ## Run real agents with REQUESTS (300) each, watch them and write docs/agents.md (root; FOLDER keeps what was recorded)
	cd testdata/agent && $(GO) run ./watch --sennit ../../bin/sennit --requests $(or $(REQUESTS),300) --page ../../docs/agents.md --keep '$(abspath $(FOLDER))'

.PHONY: test-agents
test-agents: ## A short form of it, as a test (root)
	cd testdata/agent && $(GO) vet ./... && $(GO) test -p 1 -timeout 15m ./...

.PHONY: demo
demo: ## Stitch the recorded agents of testdata and draw the most interesting request
	$(GO) run ./cmd/sennit replay testdata/agents
